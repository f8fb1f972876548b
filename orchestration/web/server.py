"""The web server of a control process: assembles everything that is served over HTTP, and runs it in uvicorn."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from orchestration.app.application import Application
from orchestration.app.control import ControlProcess
from orchestration.app.live_credentials import LiveCredentials
from orchestration.config.isolation import isolation_of
from orchestration.embedded_server import EmbeddedServer
from orchestration.errors import UsageError
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.second_factor import SecondFactors
from orchestration.security.sign_in import SignIn
from orchestration.storage.audit import AuditTable
from orchestration.storage.sign_in_challenges import SignInChallenges
from orchestration.web import intake, oncall_feed
from orchestration.web.account import AccountPages
from orchestration.web.answer import AnswerPages
from orchestration.web.auth_middleware import AuthMiddleware
from orchestration.web.configured_provider import ConfiguredProvider
from orchestration.web.connection_limits import connection_counts
from orchestration.web.counted_listener import CountedListener
from orchestration.web.device_cookie import DeviceCookies
from orchestration.web.exposure import MAX_HEAD_BYTES, Exposure
from orchestration.web.feed import Feed
from orchestration.web.forwarded import SECRET_VARIABLE, ForwardedHeaders, check_secret
from orchestration.web.gateway.endpoint import GatewayEndpoint
from orchestration.web.health import HealthEndpoints
from orchestration.web.heartbeats import HeartbeatEndpoint
from orchestration.web.http_protocol import http_protocol
from orchestration.web.mcp.endpoint import McpEndpoint
from orchestration.web.problems import problem
from orchestration.web.provider_sign_in import ProviderPages
from orchestration.web.refusal_page import refusal_for
from orchestration.web.run_progress import RunProgressReader
from orchestration.web.security_headers import SecurityHeaders
from orchestration.web.sign_in import SignInPages
from orchestration.web.vendor_answers.endpoint import VendorAnswers

_PAGES = "orchestration.web.pages"
# How long responses may take to finish when the server stops. Uvicorn waits for every open response until then, and an
# event stream never finishes by itself: `WebServer.close` ends the streams first.
_GRACE_SECONDS = 5


@dataclass(frozen=True, slots=True)
class WebServer:
    """The ASGI application, what runs beside it, and what must be closed before it stops. `listen` keeps the note that
    heartbeats can be heard."""

    asgi: Starlette
    access: AccessControl
    sign_in: SignIn
    feed: Feed
    listen: Callable[[], Coroutine[Any, Any, None]]
    close: Callable[[], None]


def build(app: Application, control: ControlProcess, exposure: Exposure) -> WebServer:
    """Put the API, the gateway endpoint, the intake for alerts, the pages and the authentication together."""
    from orchestration.web import api
    from orchestration.web.api.services import ApiServices

    access = AccessControl(app.database, app.bus, app.clock, lambda: app.configuration.access.require_second_factor)
    factors = SecondFactors(app.database, app.bus, app.clock, app.second_factor_key)
    sign_in = SignIn(access, factors, SignInChallenges(app.database), app.bus, app.clock)
    trail = AuditTrail(AuditTable(app.database), app.bus, app.clock, app.redactor.data)
    progress = RunProgressReader(app.runs, app.timeline, app.clock)
    feed = Feed(app.timeline, app.clock, ordered=app.database.is_sqlite)
    heartbeats = HeartbeatEndpoint(app, control.incidents.heartbeats)
    provider = ConfiguredProvider(app, access, sign_in)
    entrance = SignInPages(
        access,
        sign_in,
        trail,
        DeviceCookies(lambda: app.link_key() or ""),
        lambda: app.configuration.metadata.name,
        provider.name,
    )
    pages, close_pages = _pages(app)
    interface = api.build(ApiServices(app, control, access, factors, trail, feed, progress))
    mcp = McpEndpoint(interface.openapi)
    routes: list[BaseRoute] = [
        *HealthEndpoints(
            control.has_leader, control.incidents.monitoring.metrics, lambda: isolation_of(app.store)
        ).routes(),
        *entrance.routes(),
        *AccountPages(sign_in, entrance, provider.name).routes(),
        *ProviderPages(entrance, provider.current, lambda: app.configuration.response.dashboard_url).routes(),
        *AnswerPages(app, trail).routes(),
        *VendorAnswers(app, trail).routes(),
        *oncall_feed.routes(app),
        *intake.routes(control.incidents.intake, app.clock, app.bus),
        *heartbeats.routes(),
        *GatewayEndpoint(app).routes(),
        *mcp.routes(),
        Mount(api.PREFIX, interface),
        *pages,
    ]
    authentication = Middleware(
        AuthMiddleware,
        access=access,
        trail=trail,
        exposure=exposure,
        recorded=app.recorded,
    )

    def close() -> None:
        feed.close()
        progress.close()
        close_pages()

    asgi = Starlette(routes=routes, middleware=[authentication], exception_handlers={HTTPException: _http})
    mcp.serve(asgi)
    return WebServer(asgi, access, sign_in, feed, heartbeats.listen, close)


@contextlib.asynccontextmanager
async def serving_web(
    app: Application, control: ControlProcess, exposure: Exposure, *, any_port: bool = False
) -> AsyncIterator[tuple[WebServer, str]]:
    """Serve for as long as the block lasts; yields the server and its address. With `any_port`, a free port is used if
    the configured one is taken. Raises UsageError if the address cannot be used."""
    secret = partial(LiveCredentials(app.store).get, SECRET_VARIABLE)
    check_secret(exposure.proxies, secret())
    counts = connection_counts(exposure.proxies)
    listening: socket.socket = CountedListener(
        _listen(exposure, any_port=any_port), counts, encrypted=exposure.certificate is not None
    )
    public = urlsplit(app.configuration.response.dashboard_url or "").hostname or ""
    found = replace(exposure, port=listening.getsockname()[1], public_name=public)
    web = build(app, control, found)
    asgi: ASGIApp = SecurityHeaders(web.asgi)
    if found.proxies:
        asgi = ForwardedHeaders(asgi, found.proxies, secret)
    server = EmbeddedServer(_settings(asgi, found))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(web.feed.run)
            group.start_soon(web.listen)
            group.start_soon(server.serve, [listening])
            await server.until_started()
            try:
                yield web, found.url
            finally:
                with anyio.CancelScope(shield=True):
                    web.close()
                    await server.stop()
                group.cancel_scope.cancel()
    finally:
        listening.close()


def _settings(asgi: ASGIApp, exposure: Exposure) -> uvicorn.Config:
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


def _listen(exposure: Exposure, *, any_port: bool) -> socket.socket:
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


def _pages(app: Application) -> tuple[list[BaseRoute], Callable[[], None]]:
    """The dashboard, if it is installed."""
    if importlib.util.find_spec(_PAGES) is None:
        return [], lambda: None
    pages = importlib.import_module(_PAGES)
    streams = pages.streams_of(app)
    return pages.routes(app, streams), streams.close


async def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = "There is nothing at this address." if status == 404 else str(getattr(error, "detail", error))
    return refusal_for(request.scope, problem(status, detail, headers=getattr(error, "headers", None)))
