"""The web server of a control process: assembles everything that is served over HTTP, and runs it in uvicorn."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
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
from orchestration.web.exposure import Exposure
from orchestration.web.feed import Feed
from orchestration.web.forwarded import SECRET_VARIABLE, ForwardedHeaders, check_secret
from orchestration.web.gateway.endpoint import GatewayEndpoint
from orchestration.web.health import HealthEndpoints
from orchestration.web.heartbeats import HeartbeatEndpoint
from orchestration.web.listener import listen, server_settings
from orchestration.web.mcp.endpoint import McpEndpoint
from orchestration.web.problems import problem
from orchestration.web.provider_sign_in import ProviderPages
from orchestration.web.refusal_page import refusal_for
from orchestration.web.run_progress import RunProgressReader
from orchestration.web.security_headers import SecurityHeaders
from orchestration.web.sign_in import SignInPages
from orchestration.web.vendor_answers.endpoint import VendorAnswers

_PAGES = "orchestration.web.pages"


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
        listen(exposure, any_port=any_port), counts, encrypted=exposure.certificate is not None
    )
    public = urlsplit(app.configuration.response.dashboard_url or "").hostname or ""
    found = replace(exposure, port=listening.getsockname()[1], public_name=public)
    web = build(app, control, found)
    asgi: ASGIApp = SecurityHeaders(web.asgi)
    if found.proxies:
        asgi = ForwardedHeaders(asgi, found.proxies, secret)
    server = EmbeddedServer(server_settings(asgi, found))
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
