"""Completions in OpenAI's wire format: whole, as the chunks of a stream, and as lines of server-sent events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.ids import new_id
from orchestration.providers.wire import Completion, Route
from orchestration.web.gateway.dialect import EVENT_STREAM, StreamWriter
from orchestration.web.gateway.errors import error_body, error_response
from orchestration.web.gateway.json_bytes import json_bytes

# Ends every stream: clients read until they see it.
END_OF_STREAM = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class ChatDialect:
    """Chat completions. With `usage`, a stream ends with the tokens used."""

    usage: bool

    def answer(self, completion: Completion, now: int) -> dict[str, Any]:
        return completion_body(completion, now)

    def writer(self, now: int) -> StreamWriter:
        return ChunkWriter(now, usage=self.usage)

    def error_response(self, error: OrchestratorError, now: float) -> Response:
        return error_response(error, now)


class ChunkWriter:
    """Passes the chunks of a provider on, under the name of the route."""

    media_type = EVENT_STREAM

    def __init__(self, now: int, *, usage: bool) -> None:
        self._common = chunk_header(now)
        self._model: dict[str, Any] = {}
        self._usage = usage

    def begin(self, model: str) -> bytes:
        self._model = {"model": model}
        return b""

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        # A chunk with the usage has no choices. Clients that did not ask for it read `choices[0]` unconditionally.
        if chunk.get("choices") or self._usage:
            return event_line({**self._common, **chunk, **self._model})
        return b""

    def end(self, completion: Completion) -> bytes:
        counted = b""
        if self._usage and completion.usage.estimated:
            counted = event_line({**self._common, **self._model, "choices": [], "usage": usage_body(completion)})
        return counted + END_OF_STREAM

    def failed(self, error: OrchestratorError) -> bytes:
        # OpenAI's clients raise `APIError` for an event with an `error` field.
        return event_line(error_body(error)[1])


def completion_body(completion: Completion, now: int) -> dict[str, Any]:
    """A whole completion, with all that the provider has sent."""
    choice = {
        "logprobs": None,
        **completion.choice_extra,
        "index": 0,
        "message": {"role": "assistant", "content": None, **completion.message},
        "finish_reason": completion.finish_reason,
    }
    return {
        "id": new_id("chatcmpl", now),
        "created": now,
        **completion.extra,
        "object": "chat.completion",
        "model": str(completion.route),
        "choices": [choice],
        "usage": usage_body(completion),
        **({"rehearsal": True} if completion.rehearsal else {}),
    }


def completion_chunks(completion: Completion, now: int) -> Iterator[dict[str, Any]]:
    """A whole completion as the chunks of a stream, as a provider would have sent them."""
    common = {**chunk_header(now), **completion.extra, "object": "chat.completion.chunk"}
    delta = {"role": "assistant", **completion.message}
    if calls := delta.get("tool_calls"):
        # Clients merge the parts of a tool call by `index`, which only streams have.
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(calls)]
    yield {**common, "choices": [{**completion.choice_extra, "index": 0, "delta": delta, "finish_reason": None}]}
    yield {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": completion.finish_reason}]}
    if not completion.usage.estimated:
        yield {**common, "choices": [], "usage": usage_body(completion)}


def chunk_header(now: int) -> dict[str, Any]:
    """The fields that all chunks of one stream have in common."""
    return {"id": new_id("chatcmpl", now), "object": "chat.completion.chunk", "created": now}


def event_line(chunk: Mapping[str, Any]) -> bytes:
    """A chunk as a server-sent event."""
    return b"data: " + json_bytes(chunk) + b"\n\n"


def completion_headers(completion: Completion) -> dict[str, str]:
    """The headers that say which route answered, and after how many attempts."""
    headers = route_headers(completion.route, len(completion.tries))
    return headers | ({"X-Rehearsal": "true"} if completion.rehearsal else {})


def route_headers(route: Route, tries: int) -> dict[str, str]:
    """The same, as far as it is known when a stream begins. A header holds no other characters."""
    name = str(route).encode("latin-1", "replace").decode("latin-1")
    return {"X-Orchestrator-Route": name, "X-Orchestrator-Tries": str(tries)}


def usage_body(completion: Completion) -> dict[str, Any]:
    """The tokens as the provider has counted them, with all details; else as estimated."""
    usage = completion.usage
    if completion.reported_usage and not usage.estimated:
        return {**completion.reported_usage}
    cached = {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}} if usage.cached_tokens else {}
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total,
        **cached,
    }
