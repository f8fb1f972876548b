"""Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.

A proxy on another machine is known by its address. On the loopback address every local process has the same one, so
there a proxy has to know a secret as well, which it sends in a header.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from orchestration.errors import UsageError

SECRET_VARIABLE = "ORCHESTRATOR_PROXY_SECRET"  # noqa: S105 (the name of a variable)
SECRET_HEADER = "X-Orchestrator-Proxy-Secret"  # noqa: S105 (the name of a header)
MINIMUM_LENGTH = 16
_HEADER = SECRET_HEADER.lower().encode()
_FORWARDED = b"x-forwarded-"


class ForwardedHeaders:
    """ASGI middleware: takes the client's address and scheme from a proxy's headers, if they may be believed."""

    def __init__(self, app: ASGIApp, proxies: Sequence[str], secret: Callable[[], str | None]) -> None:
        self._believing = cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), list(proxies)))
        self._app = app
        self._secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what must not be believed is taken out of it first."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _HEADER), b"")
        believed = not is_loopback(_peer(scope)) or self._is_right(given)
        # Nothing behind this needs the secret, and a page that shows headers must not show it.
        kept = [one for one in scope["headers"] if one[0] != _HEADER and (believed or not _is_forwarded(one[0]))]
        await self._believing({**scope, "headers": kept}, receive, send)

    def _is_right(self, given: bytes) -> bool:
        secret = self._secret()
        return secret is not None and hmac.compare_digest(given, secret.encode())


def check_secret(proxies: Sequence[str], secret: str | None) -> None:
    """Raise UsageError if a proxy on this machine was named that could not prove to be the one."""
    local = next((one for one in proxies if ipaddress.ip_network(one, strict=False).network_address.is_loopback), None)
    if local is None or (secret is not None and len(secret) >= MINIMUM_LENGTH):
        return
    raise UsageError(
        f"Every process of this machine can send requests from {local}, so a proxy there needs a secret. Put "
        f"{SECRET_VARIABLE} with at least {MINIMUM_LENGTH} random characters into .env, and have the proxy send it in "
        f"the header {SECRET_HEADER}."
    )


def is_loopback(address: str) -> bool:
    """Whether a request from this address comes from this machine."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _is_forwarded(name: bytes) -> bool:
    return name.startswith(_FORWARDED) or name == b"forwarded"


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
