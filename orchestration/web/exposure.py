"""Where the server listens, and under which conditions it may. Pure.

On the loopback address plain HTTP is enough. On any other address sign-in is required, and TLS, either of this server
or of a named proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import UsageError

DEFAULT_PORT = 8642
DEFAULT_ENDPOINT_PORT = 8643
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# The most that the request line and the headers may take together. Larger requests are answered with 400.
MAX_HEAD_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class Exposure:
    """How the server is reached. `names` are further host names of the server; `proxies` are the addresses of proxies
    whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. Raises UsageError for a combination that is not safe.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    proxies: tuple[str, ...] = ()
    sign_in: bool = True
    # The host of `response.dashboardUrl`, by which links in messages lead here.
    public_name: str = ""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--certificate and --key belong together. Give both.")
        for file in (self.certificate, self.key):
            if file is not None and not file.is_file():
                raise UsageError(f"There is no file '{file}'. Give the path of a file in PEM format.")
        if is_local(self.host):
            if not self.sign_in and self.proxies:
                raise UsageError(
                    "--no-sign-in is not possible behind a proxy, which other machines can use. Leave one out."
                )
            return
        if not self.sign_in:
            raise UsageError(
                f"--no-sign-in is possible on the loopback address only, not on {self.host}. Leave it out."
            )
        if self.certificate is None and not self.proxies:
            raise UsageError(
                f"{self.host} can be reached from other machines, so TLS is required. Give --certificate and --key, or "
                "the proxy that terminates TLS with --proxy ADDRESS."
            )
        if is_any(self.host) and not self.names:
            raise UsageError(
                f"{self.host} stands for all addresses. Name the hosts by which the server is reached with --name HOST."
            )

    @property
    def url(self) -> str:
        """The address for a browser."""
        name = self.names[0] if self.names and not is_local(self.host) else self.host
        host = f"[{name}]" if ":" in name else name
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}"

    def answers_to(self, host: str) -> bool:
        """Whether a `Host` header names this server.

        Refusing other names stops DNS rebinding: a page on a name of the attacker, which then resolves to 127.0.0.1, is
        same-origin with this server as far as the browser knows.
        """
        name = _without_port(host).lower().rstrip(".")
        if name and name in {each.lower() for each in (*self.names, self.public_name)}:
            return True
        return name in _LOCAL_NAMES if is_local(self.host) else name == self.host.lower()


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_any(host: str) -> bool:
    """Whether an address stands for all addresses of this machine."""
    return not host or (_is_address(host) and ipaddress.ip_address(host).is_unspecified)


def checked_proxies(proxies: Sequence[str]) -> tuple[str, ...]:
    """The addresses of proxies. Raises UsageError for anything that is not an address or a network."""
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
