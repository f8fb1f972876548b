"""Where the server listens, and what has to be so before it may. Pure.

On this machine alone (the loopback address) plain HTTP will do. For anybody else there has to be a sign-in, and TLS:
ours, or that of a proxy that is named.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import UsageError

DEFAULT_PORT = 8642
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a server is reached. `names` are the host names by which people reach it beside `host`; `proxies` the
    addresses of proxies whose word on a client's address and on TLS is taken. Raises UsageError for what is not safe.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()
    sign_in: bool = True

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("expected --certificate and --key together, got one of them; give both files")
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise UsageError(f"expected a file in PEM format, got '{file}', which is none; correct the path")
        if is_local(self.host):
            if not self.sign_in and self.proxies:
                raise UsageError("expected sign-in behind a proxy, got --no-sign-in; leave one of them out")
            return
        if not self.sign_in:
            raise UsageError(
                f"expected sign-in off the loopback address, got --no-sign-in on {self.host}; leave it out"
            )
        if self.certificate is None and not self.proxies:
            raise UsageError(
                f"expected TLS for {self.host}, got none; give --certificate and --key, or name the proxy that has "
                "them with --proxy ADDRESS"
            )
        if is_any(self.host) and not self.names:
            raise UsageError(
                f"expected the name by which people reach it, got none for {self.host}; give --name HOST, once for each"
            )

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        name = self.names[0] if self.names and not is_local(self.host) else self.host
        host = f"[{name}]" if ":" in name else name
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    def answers_to(self, host: str) -> bool:
        """Whether a request may name this host (its `Host` header): a page on a strange name that resolves to us is a
        trap (DNS rebinding)."""
        name = _without_port(host).lower().rstrip(".")
        if name in {each.lower() for each in self.names}:
            return True
        return name in _LOCAL_NAMES if is_local(self.host) else name == self.host.lower()


def is_local(host: str) -> bool:
    """Whether only this machine reaches that address."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_any(host: str) -> bool:
    """Whether it stands for every address of this machine."""
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)


def checked_proxies(proxies: Sequence[str]) -> tuple[str, ...]:
    """The addresses of proxies. Raises UsageError for what is none."""
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy, strict=False)
        except ValueError:
            raise UsageError(f"expected a proxy's address such as 10.0.0.7 or 10.0.0.0/24, got '{proxy}'") from None
    return tuple(proxies)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
