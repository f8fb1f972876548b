"""Recognising that a request was refused because it is longer than the model's context. Pure.

Only some vendors have a code for it (OpenAI, Azure and Groq: `context_length_exceeded`; GitHub Models:
`tokens_limit_reached`; llama.cpp: `exceed_context_size_error`, with the size in `n_ctx`). The words are those of
OpenAI ("maximum context length is 8192 tokens", "exceeds the context window"), Anthropic ("prompt is too long: 210000
tokens > 200000 maximum"), Gemini ("input token count exceeds the maximum number of tokens allowed"), Bedrock ("Input is
too long for requested model"), xAI ("maximum prompt length is 131072"), Mistral ("too large for model with 32768
maximum context length"), Cohere ("too many tokens"), Kimi ("exceeded model token limit: 8192"), MiniMax ("context
window exceeds limit"), DashScope ("Range of input length should be [1, 30720]"), Groq ("reduce the length of the
messages"), vLLM ("longer than the maximum model length of 4096"), Hugging Face ("`inputs` tokens + `max_new_tokens`
must be <= 4097"), LM Studio ("greater than the context length") and Zhipu.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "tokens_limit_reached", "model_context_window_exceeded"}
)
_TOO_LONG = re.compile(
    r"(?i)context.{0,16}(?:length|size|window|limit|overflow)|(?:prompt|input|request body) (?:is )?too (?:long|large)"
    r"|too many (?:input )?tokens|reduce (?:the|your) (?:length|prompt|message)|(?:model )?token limit"
    r"|exceed\w*.{0,60}\btokens\b|tokens?.{0,60}\bexceed|maximum.{0,20}tokens|maximum (?:prompt|model|input) length"
    r"|range of input length|`?inputs`? tokens|超长|上下文长度"
)
# The answer that was asked for is too long, not the request: "max_tokens is too large: 100000".
_ANSWER = re.compile(r"(?i)^\W*(?:invalid \w+\W+)?max_(?:completion_|output_)?tokens\W+(?:is too|must be|should be)")
_NUMBER = r"(\d[\d,]*\d)"
# By precedence: a message also names what was asked for.
_LIMITS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\[\d+, ?{_NUMBER}\]",
        rf"[<>]=?\s*{_NUMBER}",
        rf"{_NUMBER}(?: tokens?)? maximum",
        rf"(?:limit|maximum|at most|max size|n_ctx)\D{{0,40}}?{_NUMBER}",
        rf"context (?:length|size|window)\D{{0,20}}?{_NUMBER}",
        rf"exceed\w*\D{{0,20}}?{_NUMBER}",
    )
)
# 200: an error that comes as a line of a stream. 413: a server that measures before it parses.
_STATUSES = frozenset({200, 400, 413, 422, 500})
# "context window exceeds limit (2013)": a number of the error, not of tokens.
_MINIMAX_CODE = "(2013)"
_LEAST, _MOST = 256, 100_000_000


@dataclass(frozen=True, slots=True)
class ContextOverflow:
    """A request is longer than the model's context: `limit`, in tokens, where the refusal names it."""

    limit: int | None = None


def overflow_of(status: int, error: Mapping[str, Any], message: str) -> ContextOverflow | None:
    """What a refusal says about the length of the request; None if it is about something else. `error` is the error
    object of the answer, `message` its whole text."""
    coded = bool(_CODES & {str(error.get("code")), str(error.get("type"))})
    worded = status in _STATUSES and bool(_TOO_LONG.search(message)) and not _ANSWER.search(message)
    return ContextOverflow(_limit(error, message)) if coded or worded else None


def _limit(error: Mapping[str, Any], message: str) -> int | None:
    if isinstance(size := error.get("n_ctx"), int) and size >= _LEAST:
        return size
    for pattern in _LIMITS:
        for found in pattern.findall(message.replace(_MINIMAX_CODE, "")):
            number = int(found.replace(",", ""))
            if _LEAST <= number < _MOST:
                return number
    return None
