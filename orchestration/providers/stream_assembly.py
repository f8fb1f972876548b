"""Assembling a streamed answer, and checking that an answer is complete. Pure.

A stream that is cut off cleanly looks like a short answer; client libraries return it as a success. Only the missing
finish reason gives it away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestration.providers.dialects.call_assembly import ToolCallAssembly, as_text
from orchestration.providers.dialects.delta_merge import merged
from orchestration.providers.dialects.prompt_cache import cache_written_tokens, cached_tokens
from orchestration.providers.dialects.prompt_size import CHARACTERS_PER_TOKEN, asked_in, estimate_tokens
from orchestration.providers.dialects.surrogates import sound, sound_value
from orchestration.providers.failures import Failure, FailureKind
from orchestration.providers.wire import TokenUsage

_THOUGHTS = ("reasoning_content", "reasoning")
# The fields of a chunk, of a choice and of a delta that are read one by one; others are passed on as they come.
OF_ANSWER = frozenset({"object", "choices", "usage"})
OF_CHOICE = frozenset({"index", "delta", "message", "finish_reason"})
_OF_DELTA = frozenset({"role", "content", "refusal", "tool_calls", "function_call", *_THOUGHTS})
# What makes a message an answer: a picture or a sound is one without a word.
_SAID = ("content", "tool_calls", "function_call", "refusal", "images", "audio", *_THOUGHTS)


class StreamAssembly:
    """An answer as it comes, chunk by chunk."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.tokens = 0
        # Whether the last part was a thought.
        self.thinks = False
        self._news: list[str] = []
        self._characters = 0
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._thoughts: dict[str, list[str]] = {}
        self._tool_calls = ToolCallAssembly()
        self.reported_usage: Mapping[str, Any] | None = None
        # What else the vendor has sent, with the answer, with its choice and in the message.
        self._extra: dict[str, Any] = {}
        self._latest: Mapping[str, Any] = {}
        self._fields = 0
        self.choice_extra: dict[str, Any] = {}
        self._message_extra: dict[str, Any] = {}

    def add(self, chunk: Mapping[str, Any]) -> bool:
        """Add a chunk; returns whether it contained a token."""
        self.reported_usage = chunk.get("usage") or self.reported_usage
        self._latest = chunk
        if len(chunk) != self._fields:
            self._fields = len(chunk)
            self._extra |= other_fields(chunk, OF_ANSWER)
        choices = chunk.get("choices")
        # The chunk with the token counts has no choices, and neither has Azure's first one, which holds the results of
        # its content filter for the prompt.
        if not choices:
            return False
        choice = choices[0]
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        _gather(self.choice_extra, choice, OF_CHOICE)
        delta = choice.get("delta") or {}
        came = _gather(self._message_extra, delta, _OF_DELTA)
        if content := delta.get("content"):
            text = text_of(content)
            self._content.append(text)
            came = self._say(text)
        if refusal := delta.get("refusal"):
            self._refusal.append(refusal)
            came = self._say(refusal)
        came = self._add_thoughts(delta) or came
        came = self._add_calls(delta) or came
        self.tokens += came
        return came

    def _add_thoughts(self, delta: Mapping[str, Any]) -> bool:
        """Thoughts are not part of the answer, but show that the model is alive. Servers use either name for them."""
        thought = ""
        for name in _THOUGHTS:
            if isinstance(found := delta.get(name), str) and found:
                self._thoughts.setdefault(name, []).append(found)
                thought = found
        return bool(thought) and self._say(thought, thinks=True)

    def _add_calls(self, delta: Mapping[str, Any]) -> bool:
        came = False
        for part in delta.get("tool_calls") or ():
            self._tool_calls.add(part)
            came = self._say(_call_text(part.get("function")))
        if function := delta.get("function_call"):
            self._tool_calls.add_function_call(function)
            came = self._say(_call_text(function))
        return came

    @property
    def extra(self) -> dict[str, Any]:
        """The other fields of the answer. Chunks repeat them, so the first of each kind and the last are read."""
        return self._extra | other_fields(self._latest, OF_ANSWER)

    def take_news(self) -> str:
        """The text that has come since the last time: of the thoughts, or of what followed them."""
        news, self._news = self._news, []
        return "".join(news)

    def _say(self, text: object, *, thinks: bool = False) -> bool:
        if thinks != self.thinks:
            self._news, self.thinks = [], thinks
        self._news.append(text if isinstance(text, str) else str(text))
        self._characters += len(self._news[-1])
        return True

    @property
    def written_tokens(self) -> int:
        """About how many tokens have come: at least one with each part, which some servers make of several."""
        return max(self.tokens, self._characters // CHARACTERS_PER_TOKEN)

    def message(self) -> dict[str, Any]:
        """The assistant message so far."""
        message: dict[str, Any] = {"role": "assistant", "content": sound("".join(self._content)) or None}
        if self._refusal:
            message["refusal"] = sound("".join(self._refusal))
        if calls := self._tool_calls.messages():
            message["tool_calls"] = sound_value(calls)
        thoughts = {name: sound("".join(parts)) for name, parts in self._thoughts.items()}
        return {**self._message_extra, **message, **thoughts}

    def usage(self, body: Mapping[str, Any]) -> TokenUsage:
        """The tokens, as counted by the provider, else estimated from the texts."""
        return usage_of(self.reported_usage, body, self.message())


def _gather(found: dict[str, Any], part: Mapping[str, Any], known: frozenset[str]) -> bool:
    """Merge the fields that are not known into what was found; returns whether one of them says anything."""
    says = False
    for name, value in part.items():
        if name not in known and value is not None:
            found[name] = merged(found.get(name), value, name)
            says = says or (bool(value) and isinstance(value, str | list | dict))
    return says


def other_fields(data: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields of an answer that are not known here."""
    return {name: value for name, value in data.items() if name not in known and value is not None}


def text_of(content: Any) -> Any:
    """The text of a content that comes in parts, as Mistral's models that think send it:
    https://docs.mistral.ai/capabilities/reasoning. Anything else stays as it is."""
    if not isinstance(content, list):
        return content
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def _call_text(function: object) -> str:
    """A part of a tool call as a person would read it."""
    if not isinstance(function, Mapping):
        return ""
    name, arguments = function.get("name"), as_text(function.get("arguments"))
    return f"{name} {arguments}" if name else arguments


def usage_of(reported: Mapping[str, Any] | None, body: Mapping[str, Any], message: Mapping[str, Any]) -> TokenUsage:
    """The provider's own count if there is one, else an estimate."""
    if reported and "prompt_tokens" in reported:
        prompt, from_cache = int(reported["prompt_tokens"] or 0), cached_tokens(reported)
        answer, written = answered_tokens(reported, prompt), cache_written_tokens(reported)
        # Anthropic counts them beside the others, and some proxies pass that on.
        beside = from_cache > prompt
        prompt += from_cache + written if beside else 0
        return TokenUsage(
            prompt,
            answer,
            cached_tokens=from_cache,
            cache_written_tokens=min(written, max(0, prompt - from_cache)),
            thinking_tokens=min(thinking_tokens(reported), answer),
        )
    return TokenUsage(estimate_tokens(asked_in(body)), estimate_tokens(message), estimated=True)


def answered_tokens(reported: Mapping[str, Any], prompt: int) -> int:
    """The tokens of an answer with those of its thoughts, which are paid for. xAI
    (https://docs.x.ai/docs/guides/reasoning) and Gemini count them in the total alone."""
    answer, total = int(reported.get("completion_tokens") or 0), reported.get("total_tokens")
    thought = thinking_tokens(reported)
    if not isinstance(total, int) or isinstance(total, bool):
        return answer
    return answer + thought if thought > 0 and total == prompt + answer + thought else answer


def thinking_tokens(reported: Mapping[str, Any]) -> int:
    """How many tokens of an answer were thoughts; 0 if the provider does not say so."""
    details = reported.get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    return thought if isinstance(thought, int) and not isinstance(thought, bool) and thought > 0 else 0


def as_chunk(body: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer as the one chunk of a stream."""
    choice = body["choices"][0]
    delta = dict(choice["message"])
    if calls := delta.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    rest = {**other_fields(choice, OF_CHOICE), "index": 0, "delta": delta}
    rest["finish_reason"] = choice.get("finish_reason")
    return {**body, "object": "chat.completion.chunk", "choices": [rest]}


def fault_of(message: Mapping[str, Any], finish_reason: str | None, *, begun: bool = False) -> Failure | None:
    """What is wrong with an answer of status 200; None if it is complete. The rest of an answer that was `begun` may be
    empty."""
    if finish_reason == "content_filter":
        return Failure(FailureKind.CONTENT_FILTER, "the provider's content filter stopped the answer", 200)
    if finish_reason is None and not _is_complete(message):
        return Failure(FailureKind.MALFORMED, "the answer ended without a finish_reason: it was cut off", 200)
    said = any(message.get(part) for part in _SAID)
    # A model can spend its whole budget of tokens on thinking. That is no fault of the provider.
    if not said and not begun and finish_reason != "length":
        return Failure(FailureKind.MALFORMED, "the answer was empty", 200)
    return None


def _is_complete(message: Mapping[str, Any]) -> bool:
    """Whether an answer shows by itself that nothing is missing: it is JSON, or its calls have arguments that are. Some
    servers never send a finish_reason."""
    calls = message.get("tool_calls")
    texts = [call["function"]["arguments"] for call in calls] if calls else [message.get("content") or ""]
    return all(_is_object(text) for text in texts)


def _is_object(text: Any) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, TypeError, RecursionError):
        return False
