"""A provider's server on loopback whose answers a test writes, and which remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from orchestration.clock import SystemClock
from orchestration.rehearsal.listener import LoopbackListener

USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    client: tuple[str, int]


Handler = Callable[[Asked], Response | Awaitable[Response]]


@dataclass
class Vendor:
    """A server. `answer` is asked for chat requests, `probe` for all others; both may be replaced at any time."""

    url: str = ""
    answer: Handler = field(
        default=lambda asked: streamed("Yes.") if (asked.body or {}).get("stream") else whole("Yes.")
    )
    probe: Handler = field(default=lambda asked: as_json({"object": "list", "data": [], "models": []}))
    asked: list[Asked] = field(default_factory=list)

    @property
    def chats(self) -> list[Asked]:
        return [one for one in self.asked if one.method == "POST"]

    @property
    def probes(self) -> list[Asked]:
        return [one for one in self.asked if one.method == "GET"]


def as_json(body: object, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(body), status, named, media_type="application/json")


def whole(content: str | None, finish: str | None = "stop", **message: Any) -> Response:
    """A chat answer in one piece."""
    said = {"role": "assistant", "content": content, **message}
    return as_json({"choices": [{"index": 0, "message": said, "finish_reason": finish}], "usage": USAGE})


def refused(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Response:
    """An error in OpenAI's shape."""
    return as_json({"error": {"message": message, "type": "api_error", "code": code}}, status, **headers)


def delta(**parts: Any) -> bytes:
    """One chunk of a stream, as bytes of an event."""
    finish = parts.pop("finish_reason", None)
    return event({"choices": [{"index": 0, "delta": parts, "finish_reason": finish}]})


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


END = delta(finish_reason="stop")
DONE = b"data: [DONE]\n\n"


def streamed(*words: str) -> Response:
    """A whole chat answer as a stream."""
    pieces = [delta(role="assistant", content=""), *(delta(content=word) for word in words), END]
    return stream([*pieces, event({"choices": [], "usage": USAGE}), DONE])


def yes(asked: Asked) -> Response:
    """The answer of a provider that is well."""
    return streamed("Yes.") if asked.body.get("stream") else whole("Yes.")


def stream(pieces: Iterable[bytes] | AsyncIterator[bytes]) -> Response:
    return StreamingResponse(pieces, media_type="text/event-stream")


@asynccontextmanager
async def vendor(answer: Handler | None = None) -> AsyncIterator[Vendor]:
    """Run a server for as long as the block lasts."""
    running = Vendor()
    if answer is not None:
        running.answer = answer
    listener = LoopbackListener(0, SystemClock())

    async def serve(request: Request) -> Response:
        text = await request.body()
        body = json.loads(text) if text else None
        client = request.client or ("", 0)
        asked = Asked(
            request.method, request.url.path, dict(request.query_params), dict(request.headers), body, tuple(client)
        )
        running.asked.append(asked)
        found = (running.answer if request.method == "POST" else running.probe)(asked)
        return found if isinstance(found, Response) else await found

    running.url = f"http://127.0.0.1:{listener.port}"
    await listener.open(Starlette(routes=[Route("/{path:path}", serve, methods=["GET", "POST"])]))
    try:
        yield running
    finally:
        await listener.close()
