"""The socket on which a web server listens, and how uvicorn serves there."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from orchestration.errors import UsageError
from orchestration.web.exposure import MAX_HEAD_BYTES, Exposure
from orchestration.web.http_protocol import http_protocol

# How long responses may take to finish when the server stops. Uvicorn waits for every open response until then, and an
# event stream never finishes by itself: whoever serves one ends it first.
_GRACE_SECONDS = 5


def server_settings(asgi: ASGIApp, exposure: Exposure) -> uvicorn.Config:
    """How uvicorn serves an application."""
    more: dict[str, Any] = {}
    if exposure.certificate and exposure.key:
        more = {"ssl_certfile": str(exposure.certificate), "ssl_keyfile": str(exposure.key)}
    return uvicorn.Config(
        cast("Any", asgi),
        # Uvicorn would set up handlers of its own, past the log file and its redaction.
        log_config=None,
        # Writes are in the audit trail. Lines for reads would fill the log with the polling of dashboards and of
        # Prometheus.
        access_log=False,
        # The application is started before the server and stopped after it, not by the server.
        lifespan="off",
        # Nothing here uses WebSockets, which are not covered by the checks for forged requests.
        ws="none",
        # No need to tell the world which server and version to look for flaws in.
        server_header=False,
        date_header=True,
        # An address alone would be believed here.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        http=http_protocol(),
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        **more,
    )


def listen(exposure: Exposure, *, any_port: bool) -> socket.socket:
    """A socket that listens. With `any_port`, on a free port if the configured one is taken. Raises UsageError if the
    address or the certificate cannot be used."""
    if exposure.certificate and exposure.key:
        _check_certificate(exposure)
    try:
        return _bind(exposure.host, exposure.port)
    except OSError as error:
        if any_port and error.errno is not None and exposure.port:
            with contextlib.suppress(OSError):
                return _bind(exposure.host, 0)
        raise UsageError(
            f"Cannot listen on {exposure.host}:{exposure.port}: {error.strerror or error}. "
            "Choose another address with --host and --port."
        ) from error


def _bind(host: str, port: int) -> socket.socket:
    kind, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]  # noqa: S104
    # With the protocol given and not 0, asyncio recognizes TCP and sets TCP_NODELAY. Without it, Nagle's algorithm
    # delays the second packet of a response by up to 40 ms, until the first one is acknowledged.
    listening = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart can use the port at once, although connections of the process before it are still in TIME_WAIT.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        # Uvicorn's own backlog. The kernel cuts it to `net.core.somaxconn` where that is lower.
        listening.listen(2048)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _check_certificate(exposure: Exposure) -> None:
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            str(exposure.certificate), str(exposure.key)
        )
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"Cannot use the certificate {exposure.certificate} with the key {exposure.key}: {error}."
        ) from error
