"""A port on loopback that can be closed and opened again while clients look on."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.rehearsal.labels import LOOPBACK

_TEAR = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends a reset


class LoopbackListener:
    """Serves one app. While it refuses, the port stays ours: bound, but with nobody listening."""

    def __init__(self, port: int, clock: Clock) -> None:
        """Take the port (0 for any free one). Raises OrchestratorError when another program has it."""
        self._clock = clock
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._app: ASGIApp
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def open(self, app: ASGIApp) -> None:
        """Begin to answer. Raises OrchestratorError when another program has begun to, on the same port."""
        try:
            self._socket.listen()
        except OSError as error:
            raise _taken(self.port, error) from error
        server = _Server(_settings(app))
        self._serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        try:
            await server.ready.wait()
        except asyncio.CancelledError:
            server.leave.set()
            raise
        self._app, self._server = app, server

    async def close(self) -> None:
        """Cut every connection and give the port back."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._cut()
        await self._ended()
        self._socket.close()

    def refuse(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for that long; a second call starts the time anew."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._cut()
        self._reopening = asyncio.create_task(self._reopen_after(seconds))

    def reset(self, client: tuple[str, int]) -> None:
        """Tear the connection of this peer address, as a crashed machine would."""
        if self._server is None:
            return
        for connection in tuple(self._server.server_state.connections):
            if connection.transport.get_extra_info("peername") == client:
                raw: socket.socket = connection.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _TEAR)
                connection.transport.abort()

    async def _reopen_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._ended()
        await self.open(self._app)

    def _cut(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        for listening in server.servers:
            listening.close()
        self._socket = _bind(self.port)
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        server.leave.set()

    async def _ended(self) -> None:
        """Wait for the old server; `wait` does not cancel it when this is cancelled."""
        if self._serving is not None:
            await asyncio.wait([self._serving])


class _Server(uvicorn.Server):
    """Says when it listens, ends at once when told, and leaves the signals of the process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.leave = asyncio.Event()

    async def main_loop(self) -> None:
        """Between startup and shutdown. The original looks at a flag ten times a second."""
        self.ready.set()
        await self.leave.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _settings(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # Longer than any client keeps an idle connection, so that none is closed under a request by accident.
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
    )


def _bind(port: int) -> socket.socket:
    # Only where the protocol is named does asyncio send small packets at once; else each answer waits 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        raise _taken(port, error) from error
    return bound


def _taken(port: int, error: OSError) -> OrchestratorError:
    return OrchestratorError(f"expected port {port} to be free, got: {error.strerror}; choose another")
