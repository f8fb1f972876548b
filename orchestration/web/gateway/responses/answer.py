"""Answers in the format of the Responses API, whole and as a stream of events. Pure.

The events and their order: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.providers.wire import Completion
from orchestration.web.gateway.answer_parts import (
    AnswerPart,
    PartChange,
    PartKind,
    PartStep,
    PartStream,
    parts_of,
)
from orchestration.web.gateway.dialect import EVENT_STREAM, StreamWriter
from orchestration.web.gateway.errors import error_body, error_response
from orchestration.web.gateway.json_bytes import json_bytes
from orchestration.web.gateway.responses.items import pack_thought

_THOUGHTS = (PartKind.THOUGHT, PartKind.REDACTED)
_PREFIXES = {PartKind.THOUGHT: "rs", PartKind.REDACTED: "rs", PartKind.TEXT: "msg", PartKind.CALL: "fc"}
_CUT = "max_output_tokens"


@dataclass(slots=True)
class ResponsesDialect:
    """The Responses API. `shown` are the fields of the request that the response repeats; `summarizes` and `encrypts`
    say whether thoughts are shown, and in which form. `store` says whether the response is kept."""

    identifier: str
    created: int
    shown: Mapping[str, Any]
    store: bool
    summarizes: bool = False
    encrypts: bool = False

    def answer(self, completion: Completion, now: int) -> dict[str, Any]:  # noqa: ARG002 (it was created before)
        parts = [part for part in parts_of(completion.message) if self.shows(part.kind)]
        output = [self.item(part, number, "completed") for number, part in enumerate(parts)]
        return self.ended(completion, output)

    def ended(self, completion: Completion, output: list[dict[str, Any]]) -> dict[str, Any]:
        """The response to a request that was answered, maybe not to the end."""
        cut = completion.finish_reason == "length"
        status = "incomplete" if cut else "completed"
        found = self.response(str(completion.route), status, output)
        found |= {"incomplete_details": {"reason": _CUT} if cut else None, "usage": _usage(completion)}
        return found | ({"rehearsal": True} if completion.rehearsal else {})

    def response(self, model: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
        """The response object."""
        return {
            "id": self.identifier,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": model,
            "output": output,
            "store": self.store,
            "usage": None,
            **self.shown,
        }

    def item(self, part: AnswerPart, number: int, status: str) -> dict[str, Any]:
        """A part as an item of the output. Its identifier follows from its place."""
        head = {"id": self.item_id(part.kind, number), "status": status}
        match part.kind:
            case PartKind.TEXT:
                content = [text_part(part.text)] if status == "completed" else []
                return {**head, "type": "message", "role": "assistant", "content": content}
            case PartKind.CALL:
                called = {"name": part.name, "call_id": part.id or f"call_{self.item_id(part.kind, number)}"}
                return {**head, "type": "function_call", **called, "arguments": part.text}
            case _:
                return {**head, "type": "reasoning", "summary": self.summary(part), **self._packed(part, status)}

    def item_id(self, kind: PartKind, number: int) -> str:
        """The identifier of the item at a place of the output."""
        return f"{_PREFIXES[kind]}_{self.identifier.rpartition('-')[2]}_{number}"

    def shows(self, kind: PartKind) -> bool:
        """Whether parts of this kind are shown."""
        return kind not in _THOUGHTS or self.encrypts or (self.summarizes and kind is PartKind.THOUGHT)

    def summary(self, part: AnswerPart) -> list[dict[str, Any]]:
        """The summary of a thought, which here is the thought."""
        shown = self.summarizes and part.kind is PartKind.THOUGHT and part.text
        return [{"type": "summary_text", "text": part.text}] if shown else []

    def _packed(self, part: AnswerPart, status: str) -> dict[str, Any]:
        if not self.encrypts or status != "completed":
            return {}
        if part.kind is PartKind.REDACTED:
            return {"encrypted_content": pack_thought({"type": "redacted_thinking", "data": part.text})}
        block = {"type": "thinking", "thinking": part.text, "signature": part.signature}
        return {"encrypted_content": pack_thought(block)}

    def writer(self, now: int) -> StreamWriter:  # noqa: ARG002 (it was created before)
        return ResponseEventWriter(self)

    def error_response(self, error: OrchestratorError, now: float) -> Response:
        return error_response(error, now)


class ResponseEventWriter:
    """Writes the events of one response."""

    media_type = EVENT_STREAM

    def __init__(self, dialect: ResponsesDialect) -> None:
        self._dialect = dialect
        self._parts = PartStream()
        self._output: list[dict[str, Any]] = []
        self._model = ""
        self._sent = 0

    def begin(self, model: str) -> bytes:
        self._model = model
        begun = self._dialect.response(model, "in_progress", [])
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        return b"".join(event for change in self._parts.add(chunk) for event in self._events(change))

    def end(self, completion: Completion) -> bytes:
        rest = b"".join(event for change in self._parts.close() for event in self._events(change))
        response = self._dialect.ended(completion, self._output)
        return rest + self._event(f"response.{response['status']}", response=response)

    def failed(self, error: OrchestratorError) -> bytes:
        said = error_body(error)[1]["error"]
        response = self._dialect.response(self._model, "failed", self._output)
        # Clients know a list of codes, of which this is the only one that fits.
        response["error"] = {"code": "server_error", "message": said["message"]}
        return self._event("response.failed", response=response)

    def _events(self, change: PartChange) -> Iterator[bytes]:
        if not self._dialect.shows(change.part.kind):
            return
        number = len(self._output)
        match change.step:
            case PartStep.BEGIN:
                empty = AnswerPart(change.part.kind, id=change.part.id, name=change.part.name)
                item = self._dialect.item(empty, number, "in_progress")
                yield self._event("response.output_item.added", output_index=number, item=item)
                yield from self._begun(change.part, item["id"], number)
            case PartStep.MORE:
                yield from self._more(change, number)
            case PartStep.END:
                item = self._dialect.item(change.part, number, "completed")
                yield from self._ended(change.part, item["id"], number)
                yield self._event("response.output_item.done", output_index=number, item=item)
                self._output.append(item)

    def _begun(self, part: AnswerPart, item: str, number: int) -> Iterator[bytes]:
        at = {"item_id": item, "output_index": number}
        if part.kind is PartKind.TEXT:
            yield self._event("response.content_part.added", **at, content_index=0, part=text_part(""))
        elif part.kind is PartKind.THOUGHT and self._dialect.summarizes:
            empty = {"type": "summary_text", "text": ""}
            yield self._event("response.reasoning_summary_part.added", **at, summary_index=0, part=empty)

    def _more(self, change: PartChange, number: int) -> Iterator[bytes]:
        at = {"item_id": self._dialect.item_id(change.part.kind, number), "output_index": number}
        match change.part.kind:
            case PartKind.TEXT:
                more = {"content_index": 0, "delta": change.text, "logprobs": []}
                yield self._event("response.output_text.delta", **at, **more)
            case PartKind.CALL:
                yield self._event("response.function_call_arguments.delta", **at, delta=change.text)
            case PartKind.THOUGHT if self._dialect.summarizes:
                yield self._event("response.reasoning_summary_text.delta", **at, summary_index=0, delta=change.text)
            case _:
                pass

    def _ended(self, part: AnswerPart, item: str, number: int) -> Iterator[bytes]:
        at = {"item_id": item, "output_index": number}
        match part.kind:
            case PartKind.TEXT:
                more = {"content_index": 0, "text": part.text, "logprobs": []}
                yield self._event("response.output_text.done", **at, **more)
                yield self._event("response.content_part.done", **at, content_index=0, part=text_part(part.text))
            case PartKind.CALL:
                yield self._event("response.function_call_arguments.done", **at, name=part.name, arguments=part.text)
            case PartKind.THOUGHT if self._dialect.summarizes:
                whole = {"type": "summary_text", "text": part.text}
                yield self._event("response.reasoning_summary_text.done", **at, summary_index=0, text=part.text)
                yield self._event("response.reasoning_summary_part.done", **at, summary_index=0, part=whole)
            case _:
                pass

    def _event(self, kind: str, **data: Any) -> bytes:
        body = json_bytes({"type": kind, "sequence_number": self._sent, **data})
        self._sent += 1
        return b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n"


def text_part(text: str) -> dict[str, Any]:
    """A text as a part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(completion: Completion) -> dict[str, Any]:
    details = (completion.reported_usage or {}).get("completion_tokens_details")
    thought = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    usage = completion.usage
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": thought if isinstance(thought, int) else 0},
        "total_tokens": usage.total,
    }
