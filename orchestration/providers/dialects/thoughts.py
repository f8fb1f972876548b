"""Keeping a model's thinking apart from its answer. Pure.

Servers that know a model's template put its thinking into a field of its own. Where they do not, it is part of the
text: between tags, with an opening tag that the template has already written into the prompt (DeepSeek R1, Qwen's
thinking models), or in the channels of gpt-oss.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAMES = r"think|thinking|thoughts?|reasoning|seed:think"
THINKING = re.compile(
    rf"<({_NAMES})>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)|<\|channel>thought.*?(?:<channel\|>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
"""A block of thinking; one that does not end goes to the end of the text."""
# Where servers put the thinking that they keep apart: DeepSeek, vLLM and llama.cpp; OpenRouter and Ollama.
FIELDS = ("reasoning_content", "reasoning")
# On a line of its own: a sentence about the tag is part of the answer.
_CLOSING = re.compile(rf"^[ \t]*(?:</(?:{_NAMES})>|\[/THINK\])[ \t]*$", re.MULTILINE | re.IGNORECASE)
_TAGS = re.compile(rf"</?(?:{_NAMES})>|\[/?THINK\]", re.IGNORECASE)
# https://cookbook.openai.com/articles/openai-harmony: only the channel `final` is for the user.
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|start|call)\|>")


def without_thinking(text: str) -> str:
    """The answer alone. What a text says about thinking tags, or quotes of them, is left as it is."""
    if _FINAL_CHANNEL in text:
        text = _END_OF_MESSAGE.split(text.rpartition(_FINAL_CHANNEL)[2])[0]
    rest = text.lstrip()
    while block := THINKING.match(rest):
        rest = rest[block.end() :].lstrip()
    closing = _CLOSING.search(rest)
    if closing and not THINKING.search(rest[: closing.end()]) and rest[: closing.start()].count("```") % 2 == 0:
        return without_thinking(rest[closing.end() :].lstrip())
    return rest if rest != text.lstrip() else text


def thoughts_in(message: Mapping[str, Any]) -> tuple[str, str]:
    """The thinking and the answer of a message, wherever the thinking is."""
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    for name in FIELDS:
        thought = message.get(name)
        if isinstance(thought, str) and thought:
            return thought, text
    answer = without_thinking(text)
    if answer == text:
        return "", text
    return _TAGS.sub("", text.removesuffix(answer)).strip(), answer


def thoughts_alone(text: str) -> str:
    """The thinking that a text consists of, without its tags; an empty text if there is an answer beside it."""
    return "" if without_thinking(text).strip() else _TAGS.sub("", text).strip()
