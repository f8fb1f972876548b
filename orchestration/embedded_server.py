"""A web server inside a process that does other work."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import anyio
import uvicorn
from starlette.types import ASGIApp

# The `Date` of a response has a precision of one second.
_DATE_SECONDS = 1.0


class EmbeddedServer(uvicorn.Server):
    """Uvicorn without its own signal handlers, and without waking up ten times a second to see whether it shall stop.

    Uvicorn installs handlers for SIGINT and SIGTERM in `capture_signals`, and raises the signals again after it has
    stopped. Here the process around it handles signals: it has other things to stop, and in a certain order.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = anyio.Event()
        self._stopping = anyio.Event()
        self._ended = anyio.Event()

    @classmethod
    def of(cls, app: ASGIApp) -> Self:
        """One that serves the app plainly, to clients on this machine."""
        return cls(_plain(app))

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        finally:
            self._ended.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def until_started(self) -> None:
        """Return when the server accepts connections."""
        await self._listening.wait()

    async def main_loop(self) -> None:
        # A tick with this number renews the `Date` of the responses.
        while not await self.on_tick(0):
            with anyio.move_on_after(_DATE_SECONDS):
                await self._stopping.wait()

    def begin_stop(self) -> None:
        """Accept no more requests, and end when the current ones have finished or have run out of time."""
        self.should_exit = True
        self._stopping.set()

    async def stop(self) -> None:
        """Begin to stop, and return when the server has ended."""
        self.begin_stop()
        # Somewhat longer than uvicorn's own limit, after which it cancels the responses that are left.
        with anyio.move_on_after((self.config.timeout_graceful_shutdown or 0) + 2):
            await self._ended.wait()


def _plain(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        # Fixed: uvicorn picks httptools where that is installed, and resetting a connection reaches into the
        # protocol's transport.
        http="h11",
        ws="none",
        lifespan="off",
        # uvicorn would otherwise configure logging for the whole process.
        log_config=None,
        log_level="warning",
        access_log=False,
        # uvicorn trusts forwarding headers from this machine, and with them a client could change the peer
        # address by which its connection is found.
        proxy_headers=False,
        server_header=False,
        # Longer than any client keeps an idle connection, so that none is closed under a request by accident.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )
