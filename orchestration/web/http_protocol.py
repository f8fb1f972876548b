"""How the web server reads requests: by the parser of httptools, which takes a third of the time of h11.

Of the two, only h11 limits the length of a request's head in uvicorn. Without a limit, a client that sends headers
without an end, and needs no credentials for that, would fill the memory.
"""

from __future__ import annotations

import asyncio
import importlib.util

from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestration.web.connection_limits import SlownessLimits
from orchestration.web.guarded_connection import GuardedConnection


class GuardedH11Protocol(GuardedConnection, H11Protocol):
    """uvicorn's protocol on h11, which is slower and runs everywhere."""


def http_protocol(slowness: SlownessLimits | None = None) -> type[asyncio.Protocol]:
    """The protocol for uvicorn, with these limits; h11's on a platform for which there is no httptools."""
    found: type[GuardedConnection] = GuardedH11Protocol
    # Not left to uvicorn, which would choose the one without a limit as soon as something else installs httptools.
    if importlib.util.find_spec("httptools") is not None:
        from orchestration.web.limited_http import LimitedHttpProtocol

        found = LimitedHttpProtocol
    # uvicorn makes the connections itself, from a class: what they share has to be part of it.
    return type(found.__name__, (found,), {"slowness": slowness or SlownessLimits()})
