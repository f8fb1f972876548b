"""How the web server reads requests: by the parser of httptools, which takes a third of the time of h11.

Of the two, only h11 limits the length of a request's head in uvicorn. Without a limit, a client that sends headers
without an end, and needs no credentials for that, would fill the memory.
"""

from __future__ import annotations

import asyncio
import importlib.util

from uvicorn.protocols.http.h11_impl import H11Protocol


def http_protocol() -> type[asyncio.Protocol]:
    """The protocol for uvicorn; h11's on a platform for which there is no httptools."""
    # Not left to uvicorn, which would choose the one without a limit as soon as something else installs httptools.
    if importlib.util.find_spec("httptools") is None:
        return H11Protocol
    from orchestration.web.limited_http import LimitedHttpProtocol

    return LimitedHttpProtocol
