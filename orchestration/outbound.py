"""Connections to addresses of others, which must not lead into our own network.

A webhook, a calendar or a status page is at a name, and its owner decides which address the name has: also 127.0.0.1,
or that of a cloud's metadata service. So the address is checked when the connection is made, that very address is
connected to, and the same holds for every redirect. Names and addresses that are private as they are written are meant.
"""

from __future__ import annotations

import contextlib
import ipaddress
import math
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpcore2
import httpx2

from orchestration.http_connections import PooledConnections
from orchestration.proxies import proxy_for

# Clouds hand out the machine's credentials here; no service of a user's is at these addresses:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html,
# https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata
_METADATA = frozenset(
    ipaddress.ip_address(one) for one in ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200")
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata"})
# Names that no public name server answers for: https://www.iana.org/assignments/special-use-domain-names, ICANN's
# `.internal`, and those of clusters and of home routers.
_PRIVATE_ENDINGS = (".localhost", ".internal", ".local", ".lan", ".home.arpa", ".corp", ".home", ".svc", ".test")
# IPv4 addresses in IPv6 ones, by which a translator reaches them (RFC 6052).
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
# All that IANA has given out of IPv6: https://www.iana.org/assignments/ipv6-unicast-address-assignments.
_UNICAST = ipaddress.ip_network("2000::/3")
# Versions of Python differ about these: 6to4 and Teredo, whatever address is in theirs, and their relays; what is for
# documentation; what protocols keep for themselves.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(one) for one in ("2002::/16", "2001::/32", "192.88.99.0/24", "3fff::/20", "192.0.0.0/24")
)
# Raw bytes of a compressed answer that are decompressed at a time. They become a megabyte at most, and every reader
# checks how much it has after each part.
_PIECE = 1_000

if TYPE_CHECKING:
    from orchestration.http_connections import HttpConnections

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BlockedAddressError(httpcore2.ConnectError):
    """The address must not be connected to."""


@dataclass(frozen=True, slots=True)
class OutboundRule:
    """Which private addresses a client may connect to.

    `private`: all, but for metadata services, as the operator has said or as it is for one's own model servers.
    `hosts` are those that the configuration names; None means that every host that is requested is one of them, as it
    is for clients that follow no redirect.
    """

    private: bool = False
    hosts: frozenset[str] | None = None

    def allows(self, host: str, address: str) -> bool:
        """Whether a host that was resolved to this address may be connected to."""
        found = ipaddress.ip_address(address.partition("%")[0])
        meant = _plain(found)
        if meant in _METADATA or host.rstrip(".").lower() in _METADATA_NAMES or meant.is_multicast:
            return False
        is_named = self.hosts is None or host.lower() in self.hosts
        return _is_public(found) or (is_named and (self.private or is_private_name(host)))

    def check_written(self, host: str) -> None:
        """Raise BlockedAddressError for a host that must not be connected to, whoever resolves it."""
        name = host.strip("[]")
        try:
            allowed = self.allows(host, name)
        except ValueError:
            allowed = name.rstrip(".").lower() not in _METADATA_NAMES
        if not allowed:
            raise httpx2.ConnectError(f"{host} is no address to connect to") from BlockedAddressError(
                "it is a private address; set privateNetwork if it is meant"
            )


def is_private_name(host: str) -> bool:
    """Whether a host is private as it is written: an address, or a name that is in no public name server."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return not _is_public(ipaddress.ip_address(name))
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_ENDINGS)


class OutboundTransport(httpx2.AsyncHTTPTransport):
    """httpx's transport, whose connections are checked by a rule."""

    def __init__(
        self,
        rule: OutboundRule,
        verify: ssl.SSLContext,
        limits: httpx2.Limits | None = None,
        proxy: str | None = None,
        *,
        busy: bool = False,
    ) -> None:
        """`proxy` is what the configuration says of one; see `proxies`. `busy`: for many requests a second, with
        connections of our own where httptools is installed."""
        super().__init__(verify=verify, trust_env=False)
        self._rule = rule
        self._verify = verify
        self._proxy = proxy
        self._proxied: dict[str, httpx2.AsyncHTTPTransport] = {}
        self._limits = chosen = limits or httpx2.Limits(
            max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0
        )
        # httpx has no parameter for it: https://github.com/encode/httpx/discussions/2811.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=chosen.max_connections,
            max_keepalive_connections=chosen.max_keepalive_connections,
            keepalive_expiry=chosen.keepalive_expiry,
            network_backend=_CheckedBackend(rule),
        )
        self._direct = self._make_direct(chosen) if busy and find_spec("httptools") is not None else None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; a compressed answer is handed on in small pieces."""
        proxied = self._transport_through_proxy(request.url)
        if proxied is not None:
            response = await proxied.handle_async_request(request)
        elif self._direct is not None:
            response = await self._direct.send(request)
        else:
            response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            response.stream = _Pieces(response.stream)
        return response

    @property
    def counts(self) -> PooledConnections:
        """How many connections there are, to servers and proxies."""
        pools = [self._pool, *(transport._pool for transport in self._proxied.values())]  # noqa: SLF001 (no other way)
        # In httpx's pool one that is being made is not idle either.
        pooled = [connection.is_idle() for pool in pools for connection in pool.connections]
        found = PooledConnections(pooled.count(False), pooled.count(True))
        return found if self._direct is None else found.plus(self._direct.counts)

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._proxied.values():
            await transport.aclose()
        if self._direct is not None:
            await self._direct.aclose()
        await super().aclose()

    def _make_direct(self, limits: httpx2.Limits) -> HttpConnections:
        from orchestration.http_connections import HttpConnections

        async def resolve(host: str, port: int, seconds: float | None) -> list[str]:
            try:
                return await _checked_addresses(self._rule, host, port, seconds)
            except httpcore2.ConnectTimeout as error:
                raise httpx2.ConnectTimeout(str(error)) from error
            except httpcore2.ConnectError as error:
                raise httpx2.ConnectError(str(error)) from error

        keep = limits.max_keepalive_connections
        return HttpConnections(self._verify, resolve, 20 if keep is None else keep, limits.keepalive_expiry or math.inf)

    def _transport_through_proxy(self, url: httpx2.URL) -> httpx2.AsyncHTTPTransport | None:
        """The transport for a URL that is not connected to directly. Raises BlockedAddressError."""
        if self._proxy is None and is_private_name(url.host):
            return None  # it is in one's own network, where no proxy is needed
        address = proxy_for(url.scheme, url.host, self._proxy, os.environ)
        if address is None:
            return None
        # The proxy resolves the name. What is refused as it is written stays refused.
        self._rule.check_written(url.host)
        if address not in self._proxied:
            proxy = httpx2.Proxy(address, ssl_context=self._verify if address.startswith("https:") else None)
            self._proxied[address] = httpx2.AsyncHTTPTransport(
                verify=self._verify, trust_env=False, limits=self._limits, proxy=proxy
            )
        return self._proxied[address]


def blocked(error: BaseException | None) -> str:
    """Why an address was not connected to; empty where an error, with what caused it, is about something else."""
    while error is not None:
        if isinstance(error, BlockedAddressError):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""


class _Pieces(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            for start in range(0, len(part), _PIECE):
                yield part[start : start + _PIECE]

    async def aclose(self) -> None:
        await self._stream.aclose()


class _CheckedBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self, rule: OutboundRule) -> None:
        self._rule = rule
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface's)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that is allowed and answers; the name is not resolved a second time."""
        allowed = await _checked_addresses(self._rule, host, port, timeout)
        share = None if timeout is None else timeout / len(allowed)
        for number, address in enumerate(allowed):
            try:
                return await self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(allowed) - 1:
                    raise
        raise httpcore2.ConnectError("no address")

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse: no address leads to a socket file."""
        raise BlockedAddressError(f"{path} is no address")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


async def _checked_addresses(rule: OutboundRule, host: str, port: int, seconds: float | None) -> list[str]:
    """As `permitted_addresses`; raises BlockedAddressError if none is permitted."""
    addresses = await _resolved(host, port, seconds)
    allowed = [one for one in addresses if rule.allows(host, one)]
    if not allowed:
        raise BlockedAddressError(
            f"its name leads to {addresses[0]}, which is a private address; set privateNetwork if it is meant"
        )
    return allowed


async def permitted_addresses(rule: OutboundRule, host: str, port: int, seconds: float | None) -> list[str]:
    """The addresses of a host that may be connected to. Raises ConnectError if it has none at all, and
    ConnectTimeout."""
    return [one for one in await _resolved(host, port, seconds) if rule.allows(host, one)]


async def _resolved(host: str, port: int, seconds: float | None) -> list[str]:
    with contextlib.suppress(ValueError):
        # Most providers are named by their address, for which no thread has to be asked.
        return [str(ipaddress.ip_address(host.strip("[]")))]
    try:
        with anyio.fail_after(seconds):
            # Not by `anyio.getaddrinfo`, whose threads are the event loop's: the durable engine ends those when it
            # stops, and a probe that was under way then ended a run that had succeeded with a traceback.
            found = await anyio.to_thread.run_sync(_addresses_of, host, port, abandon_on_cancel=True)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout("the name was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(str(error)) from error
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        raise httpcore2.ConnectError("the name has no address")
    return addresses


def _addresses_of(host: str, port: int) -> list[tuple[Any, ...]]:
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


def _is_public(address: _Address) -> bool:
    meant = _plain(address)
    given_out = meant.version == 4 or meant in _UNICAST
    reserved = any(one in network for one in (address, meant) for network in _NOT_PUBLIC)
    return meant.is_global and given_out and not reserved


def _plain(address: _Address) -> _Address:
    """An IPv4 address that is written as an IPv6 one, as what it is."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
