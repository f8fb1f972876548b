"""Writes of one moment that become one: the head of a response and its body, or several parts of a stream.

Each write of an event loop is a call of the operating system, which takes longer than making the response does.
"""

from __future__ import annotations

import asyncio
from typing import Any

# More than that is not held back: only what has been written slows a sender down that is faster than its client.
_MAX_HELD_BYTES = 64 * 1024


class GatheredWrites:
    """A transport that hands on what was written in one round of the event loop at its end."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, at the latest at the end of this round."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MAX_HELD_BYTES:
            self.flush()

    def close(self) -> None:
        """Write the rest, and close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; the rest is lost."""
        self._held.clear()
        self._held_bytes = 0
        self._transport.abort()

    def flush(self) -> None:
        """Write the rest now."""
        if self._held:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._held_bytes = 0
            if not self._transport.is_closing():
                self._transport.write(data)
