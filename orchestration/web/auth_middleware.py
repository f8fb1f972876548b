"""Authentication, protection against forged requests, and the audit trail, for everything that the server serves.

1. The `Host` header must name this server. 2. The principal is identified by a bearer token, else by a session cookie.
3. A write by a browser must come from a page of this server, and must have the session's CSRF token. 4. The request
goes on, with `request.state.principal` and `request.state.csrf`. What a principal may do is checked by each route."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration import logs
from orchestration.alerts.sources.registry import shipped_sources
from orchestration.app.oncall_feed import FEED_PATH
from orchestration.errors import OrchestratorError
from orchestration.notifications.message_links import ANSWER_PATH
from orchestration.security.access import AccessControl, SignedIn
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Principal, Role
from orchestration.web.exposure import Exposure
from orchestration.web.gateway.addresses import PREFIXES as GATEWAY
from orchestration.web.gateway.errors import refusal_response
from orchestration.web.problems import of_error, problem

INTAKE = "/api/v1/intake/"
VENDOR_ANSWERS = "/api/v1/answers/"
_INTAKE_AT_ROOT = frozenset(source.at_root for source in shipped_sources() if source.at_root)
HEARTBEATS = "/heartbeat/"
_OWN_KEYS = (INTAKE, HEARTBEATS, ANSWER_PATH, VENDOR_ANSWERS, FEED_PATH)
_HEALTH = ("/healthz", "/readyz")
_OPEN = ("/sign-in", "/setup")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = "local"
_log = logs.get_logger("web")

HEADERS = {
    # Scripts and styles come from files of ours only, never from the page: text of models and alerts that slipped
    # through the templates' escaping could not run. `default-src 'none'` covers whatever browsers add later.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would be stricter, but makes browsers send `Origin: null` with the forms of our own pages
    # (https://fetch.spec.whatwg.org/#append-a-request-origin-header), which `_is_same_origin` has to refuse.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class AuthMiddleware:
    """ASGI middleware in front of all routes. `recorded` waits until all events so far are on the timeline."""

    def __init__(
        self,
        app: ASGIApp,
        access: AccessControl,
        trail: AuditTrail,
        exposure: Exposure,
        recorded: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._access = access
        self._trail = trail
        self._exposure = exposure
        self._recorded = recorded
        # Without sign-in there is no session that could hold a CSRF token. Forms need one all the same.
        self._open_csrf = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # 1008 is a violation of policy (RFC 6455, 7.4.1).
            await send({"type": "websocket.close", "code": 1008})
            return
        send = partial(_send_with_headers, scope, send)
        # Before authentication, which needs the database: the health of the process must be known when that is away.
        if scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        refusal = await self._authenticate(scope)
        if refusal is not None:
            await _in_the_clients_shape(scope, refusal)(scope, receive, send)
        elif _is_audited(scope):
            await self._audited(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Response | None:
        """Identify the principal of a request. Returns the response to one that is refused."""
        headers, path, state = Headers(scope=scope), scope["path"], scope.setdefault("state", {})
        state["principal"], state["csrf"], state["token"], state["session"] = None, "", None, ""
        if not self._exposure.answers_to(headers.get("host", "")):
            return problem(
                421, "This is not a host name of this server. Allow it with `orchestrator serve --name HOST`."
            )
        if path.startswith(_OWN_KEYS) or path in _INTAKE_AT_ROOT:
            # The intake authenticates senders by keys of its own, which may be in the `Authorization` header; a link in
            # a message is its own key.
            return None
        try:
            signed_in = await anyio.to_thread.run_sync(self._identify, headers, scope, state)
        # A token that cannot be checked is not let in, even if only the database is at fault.
        except (OrchestratorError, SQLAlchemyError) as error:
            return of_error(error)
        if signed_in is not None:
            state["principal"], state["csrf"], state["token"] = signed_in.principal, signed_in.csrf, signed_in.token
        return self._check(scope, headers, signed_in)

    def _identify(self, headers: Headers, scope: Scope, state: dict[str, Any]) -> SignedIn | None:
        secret = _token_in(headers, scope["path"])
        if not self._exposure.sign_in:
            # A valid token keeps its limits. Any other is ignored: OpenAI's clients refuse to start without some API
            # key.
            known = None if secret is None else self._access.known_token(secret)
            return known or SignedIn(Principal(_LOCAL, Role.ADMIN), self._open_csrf)
        if secret is not None:
            return self._access.of_token(secret, source_of(scope))
        state["session"] = session_of(headers)
        return self._access.of_session(state["session"]) if state["session"] else None

    def _check(self, scope: Scope, headers: Headers, signed_in: SignedIn | None) -> Response | None:
        path, is_read = scope["path"], scope["method"] in _SAFE
        by_token = signed_in is not None and signed_in.token is not None
        if not is_read and not by_token and not _is_same_origin(headers):
            return problem(403, "This request comes from a page of another site.")
        if signed_in is None:
            return None if path in _OPEN or path.startswith("/static/") else _unauthenticated(scope)
        if not is_read and _is_for_programs(path) and not by_token and not self._has_csrf_token(headers, signed_in):
            return problem(403, "The header X-CSRF-Token must have the session's token, which `GET /api/v1/me` shows.")
        return None

    def _has_csrf_token(self, headers: Headers, signed_in: SignedIn) -> bool:
        """Whether the request has the session's CSRF token; without sign-in there are no sessions."""
        shown = headers.get("x-csrf-token", "").encode()
        return not self._exposure.sign_in or hmac.compare_digest(shown, signed_in.csrf.encode())

    async def _audited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the audit entry, and wait for the timeline, before the response starts.

        Once a client has seen that something was done, the entry must exist even if this process dies. Written after
        the response, it could be lost.
        """
        written = False

        async def write(status: int) -> None:
            nonlocal written
            written = True
            # Shielded: a client that disconnects cancels the request, which must not leave a write without its entry.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._write, scope, status)
                await self._recorded()

        async def send_audited(message: Message) -> None:
            if message["type"] == "http.response.start":
                await write(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_audited)
        finally:
            if not written:
                await write(500)

    def _write(self, scope: Scope, status: int) -> None:
        state = scope["state"]
        principal, token = state["principal"], state["token"]
        outcome = "done" if status < 400 else "refused" if status < 500 else "failed"
        details = {"status": status, "source": source_of(scope), "token": token.id if token else None}
        try:
            self._trail.write(principal.name, f"{scope['method']} {scope['path']}", outcome, details)
        except SQLAlchemyError as error:
            # The write itself has been carried out. Failing the response now would make the client repeat it.
            _log.error("audit.unwritten", action=scope["path"], status=status, error=type(error).__name__)


def _token_in(headers: Headers, path: str) -> str | None:
    """The token of a request; None if it has none. Clients of Azure and of Anthropic send theirs in other headers."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    if not path.startswith(GATEWAY):
        return None
    return headers.get("api-key") or headers.get("x-api-key")


def _is_for_programs(path: str) -> bool:
    """Whether a path is for scripts and programs, which send the CSRF token as a header. Forms of pages send it as a
    field, which the pages check."""
    return path.startswith(("/api/", *GATEWAY))


def source_of(scope: Scope) -> str:
    """The network address of the client."""
    client = scope.get("client")
    return str(client[0])[:64] if client else ""


def cookie_name(scope: Scope) -> str:
    """The name of the session's cookie.

    Browsers accept a cookie with the prefix `__Host-` only over HTTPS and from this very host, so no sibling subdomain
    can plant one (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes).
    """
    return "__Host-session" if scope.get("scheme") == "https" else "session"


def session_of(headers: Headers) -> str:
    """The session in the cookies of a request; empty if there is none."""
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = cookies.get("__Host-session") or cookies.get("session")
    return found.value if found else ""


def _in_the_clients_shape(scope: Scope, refusal: Response) -> Response:
    """A refusal as the clients of an address read it: OpenAI's know errors in their own shape alone."""
    if not scope["path"].startswith(GATEWAY) or not isinstance(refusal, JSONResponse):
        return refusal
    detail = json.loads(bytes(refusal.body)).get("detail", "")
    kept = {name: value for name, value in refusal.headers.items() if name not in ("content-length", "content-type")}
    return refusal_response(refusal.status_code, detail, kept)


async def _send_with_headers(scope: Scope, send: Send, message: Message) -> None:
    """Add the security headers to a response."""
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if not scope["path"].startswith("/static/"):
            # Otherwise the back button shows pages after somebody has signed out on a shared machine.
            headers.setdefault("Cache-Control", "no-store")
        if scope.get("scheme") == "https":
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    await send(message)


def _is_same_origin(headers: Headers) -> bool:
    """Whether a browser sent the request from a page of this server. Programs send neither of the two headers.

    `Sec-Fetch-Site` cannot be forged by a page, but only newer browsers send it; `Origin` covers the others. `none` is
    a request that the user made, by a bookmark or the address bar."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    scheme, separator, host = headers.get("origin", "").partition("://")
    return not scheme or (bool(separator) and host == headers.get("host"))


def _unauthenticated(scope: Scope) -> Response:
    path = scope["path"]
    if scope["method"] not in _SAFE or path.startswith(("/api/", *GATEWAY, "/metrics", "/stream")):
        detail = "Sign in, or send a token (`Authorization: Bearer …`)."
        return problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse("/sign-in?next=" + quote(path + (f"?{query}" if query else ""), safe=""), 303)


def _is_audited(scope: Scope) -> bool:
    """Whether a request belongs in the audit trail: all writes except model calls and alerts, which have records of
    their own, and signing in, which has events."""
    path = scope["path"]
    if scope["method"] in _SAFE or path.startswith((*GATEWAY, INTAKE)) or path in _OPEN:
        return False
    return scope["state"]["principal"] is not None
