"""How many connections there may be, and how slow the other side may be. Pure, but for the limit of open files.

A client that opens thousands of connections, or sends a request one byte at a time, needs no credentials for that.
Without limits it would use up the files that the process may open, after which the database cannot be opened, either.
"""

from __future__ import annotations

import contextlib
import ipaddress
import resource
from collections import Counter
from dataclasses import dataclass, field

_MOST = 8192
# The other half of the files that may be open is for databases, logs, providers and workers.
_SHARE = 2


@dataclass(frozen=True, slots=True)
class SlownessLimits:
    """Seconds for the head of a request; seconds of body of which at least `body_bytes` have to come in; seconds for
    which a client may not read its response at all."""

    head: float = 20.0
    body: float = 30.0
    body_bytes: int = 4_000
    reading: float = 120.0


@dataclass(slots=True)
class ConnectionCounts:
    """Counts open connections by source; one source never gets more than half of all."""

    most: int
    of_source: int
    exempt: tuple[str, ...] = ()
    _open: Counter[str] = field(default_factory=Counter)

    def open(self, source: str) -> bool:
        """Count a connection; False, and nothing is counted, if it would be one too many."""
        is_full = self._open.total() >= self.most or (
            self._open[source] >= self.of_source and not _is_among(source, self.exempt)
        )
        if not is_full:
            self._open[source] += 1
        return not is_full

    def close(self, source: str) -> None:
        """Count a connection that was opened as closed."""
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]


def connection_counts(proxies: tuple[str, ...] = ()) -> ConnectionCounts:
    """The counts for this process. Behind a proxy all clients have its address, so only the total counts for it."""
    soft = _raised_limit()
    most = _MOST if soft == resource.RLIM_INFINITY else max(64, min(_MOST, soft // _SHARE))
    return ConnectionCounts(most, most // 2, proxies)


def _raised_limit() -> int:
    """How many files this process may open, after raising that as far as it may be and is needed: the usual 1024 are
    for programs that still use select(2) (https://0pointer.net/blog/file-descriptor-limits.html)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST * _SHARE if hard == resource.RLIM_INFINITY else min(hard, _MOST * _SHARE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return soft


def source_network(address: str) -> str:
    """The network that counts as one source. All of the loopback network is one machine; an IPv6 customer has at least
    a /64 (https://www.rfc-editor.org/rfc/rfc6177), any address of which costs nothing."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return "loopback" if found.is_loopback else str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return "loopback" if found.is_loopback else str(found)


def _is_among(source: str, proxies: tuple[str, ...]) -> bool:
    if source == "loopback":
        return any(ipaddress.ip_network(one, strict=False).network_address.is_loopback for one in proxies)
    try:
        address = ipaddress.ip_network(source, strict=False).network_address
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(one, strict=False) for one in proxies)
