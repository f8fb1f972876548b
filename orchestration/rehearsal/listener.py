"""A port on loopback that can be closed and opened again while clients are connected."""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.types import ASGIApp

from orchestration.clock import Clock
from orchestration.embedded_server import EmbeddedServer
from orchestration.errors import OrchestratorError
from orchestration.rehearsal.labels import LOOPBACK

# SO_LINGER of zero seconds: closing sends a reset (RST) instead of an orderly end (FIN), see socket(7).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LoopbackListener:
    """Serves one app. While it refuses connections it keeps the port bound, so that no other program can take it."""

    def __init__(self, port: int, clock: Clock) -> None:
        """Take the port (0 for any free one). Raises OrchestratorError when another program has it."""
        self._clock = clock
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]
        self._app: ASGIApp
        self._server: EmbeddedServer | None = None
        self._serving: asyncio.Task[None] | None = None
        self._reopening: asyncio.Task[None] | None = None

    async def open(self, app: ASGIApp) -> None:
        """Start serving. Raises OrchestratorError when another program listens on the same port."""
        # SO_REUSEADDR lets two sockets be bound to one port while neither listens, so a
        # conflict may show only here: socket(7).
        try:
            self._socket.listen()
        except OSError as error:
            raise _taken(self.port, error) from error
        server = EmbeddedServer.of(app)
        self._serving = asyncio.create_task(server.serve(sockets=[self._socket]))
        try:
            await server.until_started()
        except asyncio.CancelledError:
            # The task of the server would otherwise go on listening, with nobody left to close it.
            server.begin_stop()
            raise
        self._app, self._server = app, server

    async def close(self) -> None:
        """Cut every connection and give the port back."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._disconnect_all()
        await self._wait_for_server()
        self._socket.close()

    def refuse(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for that long; a second call starts the time anew."""
        if self._reopening is not None:
            self._reopening.cancel()
        self._disconnect_all()
        self._reopening = asyncio.create_task(self._reopen_after(seconds))

    def reset(self, client: tuple[str, int]) -> None:
        """Reset the connection of this peer address, as a crashed machine would."""
        if self._server is None:
            return
        # ASGI hands over no connection, only the peer's address, which is unique among the open ones.
        for connection in tuple(self._server.server_state.connections):
            if connection.transport.get_extra_info("peername") == client:
                raw: socket.socket = connection.transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                connection.transport.abort()

    async def _reopen_after(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._wait_for_server()
        await self.open(self._app)

    def _disconnect_all(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        # Nothing is awaited between closing and binding again, so no other program gets the port in between. A socket
        # that is bound but does not listen refuses connections, as the port of a stopped provider does.
        for listening in server.servers:
            listening.close()
        self._socket = _bind(self.port)
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        server.begin_stop()

    async def _wait_for_server(self) -> None:
        """Wait for the old server; `wait` does not cancel it when this is cancelled."""
        if self._serving is not None:
            await asyncio.wait([self._serving])


def _bind(port: int) -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets with the protocol named; without it Nagle's algorithm and the client's
    # delayed acknowledgement hold each answer back for 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Connections that were just cut hold the port in TIME_WAIT, and binding it again would fail without this.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError as error:
        bound.close()
        raise _taken(port, error) from error
    return bound


def _taken(port: int, error: OSError) -> OrchestratorError:
    return OrchestratorError(f"port {port} cannot be used: {error.strerror}; choose another one")
