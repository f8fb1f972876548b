"""Answers in the format of the Messages API, whole and as a stream of events. Pure.

The order of events: https://platform.claude.com/docs/en/build-with-claude/streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.ids import new_id
from orchestration.providers.wire import Completion
from orchestration.web.gateway.answer_parts import (
    AnswerPart,
    PartChange,
    PartKind,
    PartStep,
    PartStream,
    object_in,
    parts_of,
)
from orchestration.web.gateway.dialect import EVENT_STREAM, StreamWriter
from orchestration.web.gateway.json_bytes import json_bytes
from orchestration.web.gateway.messages.errors import messages_error, messages_error_response

_REASONS = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_NATIVE_REASONS = frozenset({"pause_turn", "model_context_window_exceeded"})
_THOUGHTS = (PartKind.THOUGHT, PartKind.REDACTED)


@dataclass(frozen=True, slots=True)
class MessagesDialect:
    """The Messages API. Thoughts are shown to those alone who have asked for them: others read the first block as the
    text. `prompt_tokens` are estimated, for the beginning of a stream; `stops` are the texts that end the answer."""

    shows_thoughts: bool
    prompt_tokens: int
    stops: frozenset[str] = frozenset()

    def answer(self, completion: Completion, now: int) -> dict[str, Any]:
        parts = (part for part in parts_of(completion.message) if self.shows_thoughts or part.kind not in _THOUGHTS)
        identifier = _identifier(completion, now)
        return {
            **_head(identifier, str(completion.route)),
            "content": [_block(part, f"{identifier}_{number}") for number, part in enumerate(parts)],
            **self.reason(completion),
            "usage": _usage(completion),
            **({"rehearsal": True} if completion.rehearsal else {}),
        }

    def reason(self, completion: Completion) -> dict[str, Any]:
        """Why the answer ended. vLLM names the text at which it stopped in `stop_reason`; others have words there."""
        native = completion.choice_extra.get("native_finish_reason")
        stop = completion.choice_extra.get("stop_sequence") or completion.choice_extra.get("stop_reason")
        if completion.finish_reason == "stop" and isinstance(stop, str) and stop in self.stops:
            return {"stop_reason": "stop_sequence", "stop_sequence": stop}
        reason = _REASONS.get(str(completion.finish_reason), "end_turn")
        return {
            "stop_reason": native if isinstance(native, str) and native in _NATIVE_REASONS else reason,
            "stop_sequence": None,
        }

    def writer(self, now: int) -> StreamWriter:
        return EventWriter(self, new_id("msg", now))

    def error_response(self, error: OrchestratorError, now: float) -> Response:
        return messages_error_response(error, now)


class EventWriter:
    """Writes the events of one answer."""

    media_type = EVENT_STREAM

    def __init__(self, dialect: MessagesDialect, identifier: str) -> None:
        self._dialect = dialect
        self._identifier = identifier
        self._parts = PartStream()
        self._index = -1

    def begin(self, model: str) -> bytes:
        # The tokens of the prompt are known in the end alone; clients replace these then.
        usage = {"input_tokens": self._dialect.prompt_tokens, "output_tokens": 1}
        message = {**_head(self._identifier, model), "content": [], "stop_reason": None, "stop_sequence": None}
        return _event("message_start", message={**message, "usage": usage})

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        return b"".join(event for change in self._parts.add(chunk) for event in self._events(change))

    def end(self, completion: Completion) -> bytes:
        rest = b"".join(event for change in self._parts.close() for event in self._events(change))
        delta = _event("message_delta", delta=self._dialect.reason(completion), usage=_usage(completion))
        return rest + delta + _event("message_stop")

    def failed(self, error: OrchestratorError) -> bytes:
        body = messages_error(error)[1]
        return _event(body.pop("type"), **body)

    def _events(self, change: PartChange) -> Iterator[bytes]:
        part = change.part
        if part.kind in _THOUGHTS and not self._dialect.shows_thoughts:
            return
        # What a redacted thought holds is a field of its beginning, so it is sent as a whole.
        late = part.kind is PartKind.REDACTED
        if change.step is (PartStep.END if late else PartStep.BEGIN):
            self._index += 1
            spare = f"{self._identifier}_{self._index}"
            block = _block(part, spare) if late else _empty_block(part, spare)
            yield _event("content_block_start", index=self._index, content_block=block)
        if change.step is PartStep.MORE and not late:
            yield self._delta(part.kind, change.text)
        if change.step is PartStep.END:
            if part.signature:
                delta = {"type": "signature_delta", "signature": part.signature}
                yield _event("content_block_delta", index=self._index, delta=delta)
            yield _event("content_block_stop", index=self._index)

    def _delta(self, kind: PartKind, text: str) -> bytes:
        match kind:
            case PartKind.CALL:
                delta = {"type": "input_json_delta", "partial_json": text}
            case PartKind.THOUGHT:
                delta = {"type": "thinking_delta", "thinking": text}
            case _:
                delta = {"type": "text_delta", "text": text}
        return _event("content_block_delta", index=self._index, delta=delta)


def _head(identifier: str, model: str) -> dict[str, Any]:
    return {"id": identifier, "type": "message", "role": "assistant", "model": model}


def _identifier(completion: Completion, now: int) -> str:
    """The vendor's own, by which it can be asked about the answer."""
    found = completion.extra.get("id")
    return found if isinstance(found, str) and found.startswith("msg_") else new_id("msg", now)


def _block(part: AnswerPart, spare: str) -> dict[str, Any]:
    match part.kind:
        case PartKind.THOUGHT:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case PartKind.REDACTED:
            return {"type": "redacted_thinking", "data": part.text}
        case PartKind.CALL:
            return {**_call_head(part, spare), "input": object_in(part.text)}
        case _:
            return {"type": "text", "text": part.text, "citations": None}


def _empty_block(part: AnswerPart, spare: str) -> dict[str, Any]:
    """A block as it begins."""
    if part.kind is PartKind.CALL:
        return {**_call_head(part, spare), "input": {}}
    return _block(AnswerPart(part.kind), spare)


def _call_head(part: AnswerPart, spare: str) -> dict[str, Any]:
    # Some servers give no identifiers, which clients need to say whose result they send.
    return {"type": "tool_use", "id": part.id or f"toolu_{spare}", "name": part.name}


def _usage(completion: Completion) -> dict[str, Any]:
    """The tokens. Unlike others, Anthropic counts those of the cache beside the rest."""
    usage = completion.usage
    return {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens - usage.cache_written_tokens),
        "cache_creation_input_tokens": usage.cache_written_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _event(kind: str, **data: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json_bytes({"type": kind, **data}) + b"\n\n"
