"""What guards each connection of the web server: patience that ends.

uvicorn limits the time between two requests only. A client that begins a request and does not end it, or does not read
the response, would keep its connection for ever.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

from orchestration.web.connection_limits import SlownessLimits
from orchestration.web.gathered_writes import GatheredWrites

_LOOK_SECONDS = 1.0
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 24\r\n"
    b"connection: close\r\n\r\nthe request was too slow"
)


class Awaited(StrEnum):
    """What a client has to do next; nothing where this server has to act."""

    NOTHING = "nothing"
    HEAD = "head"
    BODY = "body"
    READING = "reading"


class GuardedConnection:
    """Mixed into one of uvicorn's protocols, which brings `transport`, `loop`, `flow` and `cycle`.

    One timer for each connection looks after it every second: a timer that is set anew with each packet would cost more
    than reading the packet does.
    """

    slowness: SlownessLimits = SlownessLimits()
    # Of uvicorn's protocol.
    transport: Any
    loop: asyncio.AbstractEventLoop
    flow: Any
    cycle: Any

    _timer: asyncio.TimerHandle | None = None
    # Since when what is awaited from the client is awaited; None while nothing is.
    _waiting_since: float | None = None
    _awaited: Awaited = Awaited.NOTHING
    _bytes_in: int = 0
    _bytes_before: int = 0
    # The request it is about: that a second one is being received, too, is no sign of slowness.
    _cycle_before: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin to look after the connection."""
        super().connection_made(GatheredWrites(transport, self.loop))  # type: ignore[misc]
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)
        self._wait_for(Awaited.HEAD)

    def connection_lost(self, error: Exception | None) -> None:
        """Look after it no more."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(error)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Count what came in; what comes after a refusal is not read."""
        if self.transport.is_closing():
            return
        self._bytes_in += len(data)
        super().data_received(data)  # type: ignore[misc]

    def _look(self) -> None:
        """End the connection if its client was given enough time."""
        if self.transport.is_closing():
            return
        self._timer = self.loop.call_later(_LOOK_SECONDS, self._look)
        awaited = self._what_is_awaited()
        if awaited != self._awaited or self.cycle is not self._cycle_before:
            self._wait_for(awaited)
        elif self._waiting_since is not None and self._is_too_late(self.loop.time() - self._waiting_since):
            self._end()

    def _what_is_awaited(self) -> Awaited:
        cycle = self.cycle
        if self.flow.write_paused:
            return Awaited.READING
        if cycle is None:
            return Awaited.HEAD
        if cycle.response_complete:
            # Between two requests uvicorn's own limit holds, which a first byte ends.
            is_resting = getattr(self, "timeout_keep_alive_task", None) is not None
            return Awaited.NOTHING if is_resting else Awaited.HEAD
        # While nobody reads the body, the client cannot send it.
        is_sending = getattr(cycle, "more_body", False) and not self.flow.read_paused
        return Awaited.BODY if is_sending else Awaited.NOTHING

    def _wait_for(self, awaited: Awaited) -> None:
        self._awaited = awaited
        self._waiting_since = None if awaited is Awaited.NOTHING else self.loop.time()
        self._bytes_before = self._bytes_in
        self._cycle_before = self.cycle

    def _is_too_late(self, seconds: float) -> bool:
        limits = self.slowness
        if self._awaited is Awaited.BODY:
            if seconds < limits.body:
                return False
            is_slow = self._bytes_in - self._bytes_before < limits.body_bytes
            if not is_slow:
                self._wait_for(Awaited.BODY)
            return is_slow
        return seconds >= (limits.head if self._awaited is Awaited.HEAD else limits.reading)

    def _end(self) -> None:
        if self._awaited is Awaited.READING:
            # Closing would wait until everything has been sent, which this client does not allow.
            self.transport.abort()
            return
        if self._awaited is Awaited.HEAD and self._bytes_in:
            self.transport.write(_LATE)
        self.transport.close()
