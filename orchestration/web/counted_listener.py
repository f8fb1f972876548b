"""The listening socket of the web server: it counts connections from the moment at which they are accepted.

The server itself hears of an encrypted connection when its handshake is done, for which a client has a minute. Until
then it would hold an open file that nobody counts.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Self

from orchestration.web.connection_limits import ConnectionCounts, source_network

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\n"
    b"retry-after: 5\r\nconnection: close\r\n\r\ntoo many connections\n"
)


class CountedListener(socket.socket):
    """Takes over a listening socket. A client too many is told so, unless the connection is encrypted, and its
    connection closed."""

    def __init__(self, listening: socket.socket, counts: ConnectionCounts, *, encrypted: bool = False) -> None:
        blocks = listening.getblocking()
        super().__init__(listening.family, listening.type, listening.proto, fileno=listening.detach())
        self.setblocking(blocks)
        self._counts = counts
        self._refusal = b"" if encrypted else _BUSY

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection. Raises ConnectionAbortedError for one too many, as for a client that has hung up."""
        accepted, peer = super().accept()
        source = source_network(str(peer[0]) if isinstance(peer, tuple) and peer else "")
        if self._counts.open(source):
            return _CountedConnection.of(accepted, lambda: self._counts.close(source)), peer
        with contextlib.suppress(OSError), accepted:
            accepted.setblocking(False)
            accepted.send(self._refusal)
            accepted.shutdown(socket.SHUT_WR)
        raise ConnectionAbortedError


class _CountedConnection(socket.socket):
    """A connection that says once when it is closed."""

    _closed_already = False
    _on_close: Callable[[], None]

    @classmethod
    def of(cls, accepted: socket.socket, on_close: Callable[[], None]) -> Self:
        one = cls(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        one._on_close = on_close
        return one

    def close(self) -> None:
        if not self._closed_already:
            self._closed_already = True
            self._on_close()
        super().close()
