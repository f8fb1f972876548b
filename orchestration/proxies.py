"""Which proxy a connection goes through. Pure.

For encrypted addresses the usual variables count (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`): the proxy gets the name of
the host and opens a tunnel, so it sees neither keys nor content. For others it would see both, so only a proxy that the
configuration names gets those.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # unknown to typeshed

DIRECT = "none"
_SCHEMES = ("http", "https")
# In the order in which most programs read them; small letters win: https://curl.se/docs/manpage.html#ENVIRONMENT.
_ENCRYPTED = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


def proxy_for(scheme: str, host: str, configured: str | None, environment: Mapping[str, str]) -> str | None:
    """The address of the proxy for a host; None where the connection is direct.

    `configured` is the address that the configuration names, or `none`; without one the environment decides.
    """
    if configured is not None:
        return None if configured == DIRECT else configured
    if scheme != "https":
        return None
    address = _first(_ENCRYPTED, environment)
    if not address or proxy_bypass_environment(host, {"no": _first(_EXCEPTIONS, environment)}):
        return None
    # Without a scheme it is meant as that of most proxies.
    return address if "://" in address else f"http://{address}"


def problem_of(address: str) -> str | None:
    """Why this cannot be the address of a proxy; None if it can."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    return (
        None
        if usable
        else f"expected http://HOST:PORT, https://HOST:PORT or {DIRECT}, got '{_without_password(address)}'"
    )


def _first(names: tuple[str, ...], environment: Mapping[str, str]) -> str:
    return next((environment[name].strip() for name in names if environment.get(name, "").strip()), "")


def _without_password(address: str) -> str:
    scheme, mark, rest = address.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"
