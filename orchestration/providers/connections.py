"""The connections to one provider, which can be begun anew.

A server, or a load balancer in front of it, that restarts or drops idle connections leaves a whole pool of dead ones
behind. Each of them looks like a provider that is down, so a request that failed on one is repeated on a fresh one.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx2

from orchestration.http_connections import PooledConnections
from orchestration.outbound import OutboundTransport

# A client with its transport, which is a client's own secret.
ClientFactory = Callable[[], tuple[httpx2.AsyncClient, OutboundTransport]]


class Connections:
    """A pool of connections. One that was replaced or retired is closed as soon as no call uses it any more."""

    def __init__(self, make: ClientFactory) -> None:
        self._make = make
        self._transports: dict[httpx2.AsyncClient, OutboundTransport] = {}
        self._current = self._made()
        self._users: Counter[httpx2.AsyncClient] = Counter()
        self._retired = False

    @property
    def current(self) -> httpx2.AsyncClient:
        """The client to build requests with."""
        return self._current

    @property
    def counts(self) -> PooledConnections:
        """How many there are, also of pools that were replaced and are still in use."""
        return functools.reduce(PooledConnections.plus, (each.counts for each in self._transports.values()))

    @asynccontextmanager
    async def in_use(self) -> AsyncIterator[httpx2.AsyncClient]:
        """The pool for one call; it stays open for as long as the block lasts."""
        client = self._current
        self._users[client] += 1
        try:
            yield client
        finally:
            self._users[client] -= 1
            if not self._users[client]:
                del self._users[client]
                with anyio.CancelScope(shield=True):
                    await self._close_unused(client)

    def renew(self) -> None:
        """Begin anew: the next call gets a fresh connection, even if others have just returned theirs. The pool before
        is closed by its last user, of which the caller is one."""
        before, self._current = self._current, self._made()
        if before not in self._users:
            del self._transports[before]

    async def retire(self) -> None:
        """Close every connection as soon as no call uses one any more."""
        self._retired = True
        if not self._users:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for client in {self._current, *self._users}:
            await client.aclose()

    def _made(self) -> httpx2.AsyncClient:
        client, transport = self._make()
        self._transports[client] = transport
        return client

    async def _close_unused(self, client: httpx2.AsyncClient) -> None:
        if client is not self._current:
            self._transports.pop(client, None)
            await client.aclose()
        if self._retired and not self._users:
            await self._current.aclose()
