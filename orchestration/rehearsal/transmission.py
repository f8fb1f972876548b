"""Sends a reply over a connection, with its pauses and in the way in which it is to end."""

from __future__ import annotations

from email.utils import format_datetime
from typing import Protocol

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from orchestration.clock import Clock
from orchestration.rehearsal.labels import HEADER
from orchestration.rehearsal.wire_reply import StreamEnding, WireReply


class Line(Protocol):
    """What lies below HTTP: connections that can be reset, a port that can be closed."""

    def reset(self, client: tuple[str, int]) -> None:
        """Reset the connection of this peer address."""
        ...

    def refuse(self, seconds: float) -> None:
        """Close the port for that long."""
        ...


class Transmission(Response):
    """A reply as an ASGI response; sending stops as soon as the client has disconnected."""

    def __init__(self, reply: WireReply, clock: Clock, line: Line) -> None:
        super().__init__(status_code=reply.status)
        self._reply = reply
        self._clock = clock
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
            await self._clock.sleep(self._reply.delay)
            await self._send_pieces(send)
            await self._end(scope, send)
            tasks.cancel_scope.cancel()

    async def _send_pieces(self, send: Send) -> None:
        if self._reply.pieces or self._reply.ending is StreamEnding.CLEAN:
            await send({"type": "http.response.start", "status": self._reply.status, "headers": self._wire_headers()})
        for number, piece in enumerate(self._reply.pieces):
            if number:
                await self._clock.sleep(self._reply.pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _end(self, scope: Scope, send: Send) -> None:
        if self._reply.ending is StreamEnding.CLEAN:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        # Only after the body: the client that ordered the port to be closed has its
        # answer by then, and closing cuts its connection.
        if self._reply.refuse:
            self._line.refuse(self._reply.refuse)
        if self._reply.ending is StreamEnding.RESET:
            self._line.reset(scope["client"])
        # An ASGI app that returns early makes uvicorn send a status 500 or close the connection, and the client would
        # see an end where the fault asks for silence or a reset.
        if self._reply.ending is not StreamEnding.CLEAN:
            await anyio.sleep_forever()

    def _wire_headers(self) -> list[tuple[bytes, bytes]]:
        # uvicorn sets its own Date header in the main loop, which our listener replaces.
        date = format_datetime(self._clock.now(), usegmt=True)
        headers = {HEADER: "true", "date": date, "content-type": self._reply.content_type, **self._reply.headers}
        # A reply that is broken off announces no length: its pieces would add up to it, and the client would take the
        # cut text as complete instead of waiting for the rest.
        if self._reply.ending is StreamEnding.CLEAN and not self._reply.streaming:
            headers["content-length"] = str(sum(map(len, self._reply.pieces)))
        return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
