"""What the gateway endpoint has to know about one API of its clients: a request in, an answer or an error out.

Behind all of them is the same pipeline, which speaks the chat format.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.providers.wire import ChatBody, Completion, NativeRequest

EVENT_STREAM = "text/event-stream"


class StreamWriter(Protocol):
    """Writes one answer as a stream."""

    @property
    def media_type(self) -> str: ...

    def begin(self, model: str) -> bytes:
        """What is sent first; `model` is the route that answers."""
        ...

    def chunk(self, chunk: Mapping[str, Any]) -> bytes:
        """The events, or lines, for one chunk in the chat format; empty if it has none."""
        ...

    def end(self, completion: Completion) -> bytes:
        """The last events of a complete answer."""
        ...

    def failed(self, error: OrchestratorError) -> bytes:
        """The last events of an answer that broke off. The status of the response was sent long before."""
        ...


class ClientDialect(Protocol):
    """How the answer to one request is written."""

    def answer(self, completion: Completion, now: int) -> Mapping[str, Any]:
        """The body of a whole answer; `now` is in seconds since 1970."""
        ...

    def writer(self, now: int) -> StreamWriter:
        """For an answer that is streamed."""
        ...

    def error_response(self, error: OrchestratorError, now: float) -> Response:
        """The response to an error; `now` is monotonic."""
        ...


class StreamDelivery(StrEnum):
    """What becomes of a stream whose provider fails in the middle of it: it breaks off, it cannot, since it is held
    back until it is complete, or it goes on from another route."""

    BREAKS = ""
    WHOLE = "whole"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class RoutingHeaders:
    """What a client asks of the gateway itself, in headers of ours. `only` means that there is no fallback, `hedged`
    that a second provider may be paid for when the first is late."""

    delivery: StreamDelivery = StreamDelivery.BREAKS
    only: bool = False
    hedged: bool = False


def routing_headers(headers: Mapping[str, str]) -> RoutingHeaders:
    """Read the headers of a request."""
    delivery = headers.get("x-orchestrator-stream", "").lower()
    known = {one.value: one for one in StreamDelivery}
    return RoutingHeaders(
        delivery=known.get(delivery, StreamDelivery.BREAKS),
        only=headers.get("x-orchestrator-only", "").lower() == "true",
        hedged=headers.get("x-orchestrator-hedge", "").lower() == "true",
    )


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A valid request. `native` and `optional` are those of a GatewayCall. `on_answer` is called with a complete answer
    before the client is told that it is complete."""

    body: ChatBody
    model: str
    stream: bool
    dialect: ClientDialect
    routing: RoutingHeaders = RoutingHeaders()
    native: NativeRequest | None = None
    optional: frozenset[str] = frozenset()
    on_answer: Callable[[Completion], Awaitable[None]] | None = None
