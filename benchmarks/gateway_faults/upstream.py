"""The providers behind the gateways: one server on loopback that speaks HTTP by hand, so that it can break every rule.

The first part of a path names a behaviour, which sees each request and writes the answer, or does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PRIMARY, SECONDARY = "Primary answers.", "Secondary answers."
USAGE = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"
JSON = "application/json"
CONTROL = "control"
EVENTS = "text/event-stream"


@dataclass
class Call:
    """One request, and the connection to answer on. `number` counts the calls of its behaviour, from 1."""

    body: dict[str, Any]
    number: int
    begun_at: float
    fresh: bool
    writer: asyncio.StreamWriter
    memory: dict[str, Any]

    @property
    def streaming(self) -> bool:
        return self.body.get("stream") is True

    @property
    def said(self) -> str:
        """The last message."""
        return str(self.body["messages"][-1].get("content"))

    async def json(self, status: int, body: object, **headers: str) -> None:
        """A whole response."""
        await self.send(status, json.dumps(body).encode(), JSON, **headers)

    async def send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def refuse(self, status: int, message: str = "no", code: str | None = None, **headers: str) -> None:
        """An error in OpenAI's shape."""
        await self.json(status, {"error": {"message": message, "type": "api_error", "code": code}}, **headers)

    async def begin(self, kind: str = EVENTS) -> None:
        """The head of a response of any length."""
        self.writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        await self.writer.drain()

    async def part(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await self.writer.drain()

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def well(self, text: str = PRIMARY) -> None:
        """The answer of a provider that is well."""
        if not self.streaming:
            await self.json(200, whole(text))
            return
        await self.events(delta(role="assistant", content=""), *(delta(content=word) for word in words(text)), END,
                          event({"choices": [], "usage": USAGE}), DONE)  # fmt: skip

    async def events(self, *parts: bytes) -> None:
        await self.begin()
        for one in parts:
            await self.part(one)
        await self.end()

    def reset(self) -> None:
        """End the connection as a machine does that has lost its memory."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


Behaviour = Callable[[Call], Awaitable[None]]


def words(text: str) -> list[str]:
    return [word + " " for word in text.split()[:-1]] + text.split()[-1:]


def whole(content: str, finish: str = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    choice = {"index": 0, "message": message, "finish_reason": finish, **more.pop("choice", {})}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    } | more


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def delta(**parts: Any) -> bytes:
    finish, more = parts.pop("finish_reason", None), parts.pop("choice", {})
    choice = {"index": 0, "delta": parts, "finish_reason": finish, **more}
    return event({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})


END = delta(finish_reason="stop")


@dataclass
class Upstream:
    """The server. `gone` holds the behaviours whose caller hung up in the middle of an answer."""

    behaviours: dict[str, Behaviour]
    port: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def forget(self) -> None:
        """Begin anew, for another gateway."""
        self.calls.clear()
        self.memory.clear()
        self.gone.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fresh = True
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                path = head.split(" ", 2)[1]
                lengths = [int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                content = await reader.readexactly(lengths[0] if lengths else 0)
                await self._answer(path, content, reader, writer, fresh=fresh)
                fresh = False
        writer.close()

    def _steered(self, key: str, order: str = "") -> dict[str, bool]:
        if key == "forget":
            self.forget()
        if order:
            self.memory.setdefault(key, {})["down"] = order == "down"
        return {"left": key in self.gone}

    async def _answer(
        self, path: str, content: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, fresh: bool
    ) -> None:
        _, key, *rest = path.split("/")
        if key == CONTROL:
            await Call({}, 0, 0.0, fresh, writer, {}).json(200, self._steered(*rest))
            return
        memory = self.memory.setdefault(key, {})
        body = json.loads(content) if content else {"messages": [{}]}
        if content:
            self.calls[key] = self.calls.get(key, 0) + 1
        call = Call(body, self.calls.get(key, 0), asyncio.get_running_loop().time(), fresh, writer, memory)
        if not content and not memory.get("down"):
            await call.json(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
            return
        answer = asyncio.ensure_future(self.behaviours[key](call))
        left = asyncio.ensure_future(reader.read(1))
        await asyncio.wait({answer, left}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self.gone.add(key)
            answer.cancel()
        left.cancel()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await answer
        with contextlib.suppress(asyncio.CancelledError):
            await left


@asynccontextmanager
async def running(behaviours: dict[str, Behaviour]) -> AsyncIterator[Upstream]:
    upstream = Upstream(behaviours)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=2**24)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
