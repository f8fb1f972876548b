"""Authentication, protection against forged requests, and the audit trail, for everything that the server serves.

1. The `Host` header must name this server. 2. The principal is identified by a bearer token, else by a session cookie.
3. A write by a browser must come from a page of this server, and must have the session's CSRF token. 4. The request
goes on, with `request.state.principal` and `request.state.csrf`. What a principal may do is checked by each route."""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
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
from orchestration.web.gateway.refusals import refusal_response
from orchestration.web.local_peer import lock_source
from orchestration.web.problems import of_error, problem
from orchestration.web.refusal_page import refusal_for
from orchestration.web.stream_limits import StreamLimits

INTAKE = "/api/v1/intake/"
VENDOR_ANSWERS = "/api/v1/answers/"
_INTAKE_AT_ROOT = frozenset(source.at_root for source in shipped_sources() if source.at_root)
HEARTBEATS = "/heartbeat/"
_OWN_KEYS = (INTAKE, HEARTBEATS, ANSWER_PATH, VENDOR_ANSWERS, FEED_PATH)
# What its tools do are requests of their own, and audited as such.
MCP = "/mcp"
_HEALTH = ("/healthz", "/readyz")
_OPEN = ("/sign-in", "/setup")
_SIGN_IN_STEPS = "/sign-in/"
_STREAMS = frozenset({"/stream", "/api/v1/events", "/api/v1/ag-ui"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = "local"
_log = logs.get_logger("web")


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
        self._streams = StreamLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # 1008 is a violation of policy (RFC 6455, 7.4.1).
            await send({"type": "websocket.close", "code": 1008})
            return
        # Before authentication, which needs the database: the health of the process must be known when that is away.
        if scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        refusal = await self._authenticate(scope)
        if refusal is not None:
            await _in_the_clients_shape(scope, refusal)(scope, receive, send)
            return
        application = self._stream if scope["path"] in _STREAMS else self._app
        if _is_audited(scope):
            await self._audited(application, scope, receive, send)
        else:
            await application(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Two tokens may have one name.
        token, principal = scope["state"]["token"], scope["state"]["principal"]
        with self._streams.opened(token.id if token else principal.name) as is_open:
            if is_open:
                await self._app(scope, receive, send)
                return
            refusal = problem(429, "Too many event streams are open. Close some.", headers={"Retry-After": "10"})
            await refusal(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Response | None:
        """Identify the principal of a request. Returns the response to one that is refused."""
        headers, path, state = Headers(scope=scope), scope["path"], scope.setdefault("state", {})
        state["principal"], state["csrf"], state["token"], state["session"] = None, "", None, ""
        if not self._exposure.answers_to(headers.get("host", "")):
            return problem(421, "This is not a host name of this server. Allow it there with --name HOST.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            # Nothing here decompresses what a stranger sends: a kilobyte could become a gigabyte.
            return problem(415, "Send the body without Content-Encoding.", headers={"Accept-Encoding": "identity"})
        if path.startswith(_OWN_KEYS) or path in _INTAKE_AT_ROOT:
            # The intake authenticates senders by keys of its own, which may be in the `Authorization` header; a link in
            # a message is its own key.
            return None
        try:
            signed_in = self._recent_client(headers, path)
            if signed_in is None:
                signed_in = await anyio.to_thread.run_sync(self._identify, headers, scope, state)
        # A token that cannot be checked is not let in, even if only the database is at fault.
        except (OrchestratorError, SQLAlchemyError) as error:
            return of_error(error)
        if signed_in is not None:
            state["principal"], state["csrf"], state["token"] = signed_in.principal, signed_in.csrf, signed_in.token
        return self._check(scope, headers, signed_in)

    def _recent_client(self, headers: Headers, path: str) -> SignedIn | None:
        """A client of the gateway whose token was in force within the last second; None if that has to be looked up,
        as it is for every request to change something here."""
        if not path.startswith(GATEWAY):
            return None
        secret = _token_in(headers, path)
        return None if secret is None else self._access.recent_token(secret)

    def _identify(self, headers: Headers, scope: Scope, state: dict[str, Any]) -> SignedIn | None:
        secret = _token_in(headers, scope["path"])
        if not self._exposure.sign_in:
            # A valid token keeps its limits. Any other is ignored: OpenAI's clients refuse to start without some API
            # key.
            known = None if secret is None else self._access.known_token(secret)
            return known or SignedIn(Principal(_LOCAL, Role.ADMIN), self._open_csrf)
        if secret is not None:
            # Who the other end is stands in a table of the kernel's, which only a token that is refused has to pay for.
            known = self._access.known_token(secret)
            return known or self._access.of_token(secret, source_of(scope), place=lock_source(scope))
        state["session"] = session_of(headers, https=is_https(scope))
        return self._access.of_session(state["session"]) if state["session"] else None

    def _check(self, scope: Scope, headers: Headers, signed_in: SignedIn | None) -> Response | None:
        path, is_read = scope["path"], scope["method"] in _SAFE
        by_token = signed_in is not None and signed_in.token is not None
        if not is_read and not by_token and not _is_same_origin(headers):
            return problem(403, "This request comes from a page of another site.")
        if signed_in is None:
            return None if _is_open(path) or path.startswith("/static/") else _unauthenticated(scope)
        if not is_read and _is_for_programs(path) and not by_token and not self._has_csrf_token(headers, signed_in):
            return problem(403, "The header X-CSRF-Token must have the session's token, which `GET /api/v1/me` shows.")
        return None

    def _has_csrf_token(self, headers: Headers, signed_in: SignedIn) -> bool:
        """Whether the request has the session's CSRF token; without sign-in there are no sessions."""
        shown = headers.get("x-csrf-token", "").encode()
        return not self._exposure.sign_in or hmac.compare_digest(shown, signed_in.csrf.encode())

    async def _audited(self, application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
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
            await application(scope, receive, send_audited)
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


def _is_open(path: str) -> bool:
    """Whether a path is for people who have yet to sign in."""
    return path in _OPEN or path.startswith(_SIGN_IN_STEPS)


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
    return path.startswith(("/api/", *GATEWAY)) or path == MCP


def source_of(scope: Scope) -> str:
    """The network address of the client."""
    client = scope.get("client")
    return str(client[0])[:64] if client else ""


def is_https(scope: Scope) -> bool:
    """Whether the client reached this server, or the proxy before it, by HTTPS."""
    return scope.get("scheme") == "https"


def cookie_name(scope: Scope) -> str:
    """The name of the session's cookie.

    Browsers accept a cookie with the prefix `__Host-` only over HTTPS and from this very host, so no sibling subdomain
    can plant one (https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Set-Cookie#cookie_prefixes).
    """
    return "__Host-session" if is_https(scope) else "session"


def session_of(headers: Headers, *, https: bool) -> str:
    """The session in the cookies of a request; empty if there is none. Over HTTPS only the cookie counts that nobody
    else can have planted."""
    found = cookies_of(headers)
    return found.get("__Host-session", "") or ("" if https else found.get("session", ""))


def cookies_of(headers: Headers) -> Mapping[str, str]:
    """The cookies of a request; none if they are malformed."""
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}


def _in_the_clients_shape(scope: Scope, refusal: Response) -> Response:
    """A refusal as the clients of an address read it: those of a vendor know errors in its own shape alone, and people
    read pages."""
    if not scope["path"].startswith(GATEWAY) or not isinstance(refusal, JSONResponse):
        return refusal_for(scope, refusal)
    detail = json.loads(bytes(refusal.body)).get("detail", "")
    kept = {name: value for name, value in refusal.headers.items() if name not in ("content-length", "content-type")}
    return refusal_response(scope["path"], Headers(scope=scope), refusal.status_code, detail, kept)


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
    # A page that refreshes itself must not be given the page for signing in to show in its place.
    by_script = "hx-request" in Headers(scope=scope)
    for_programs = ("/api/", *GATEWAY, "/metrics", "/stream", MCP)
    if by_script or scope["method"] not in _SAFE or path.startswith(for_programs):
        detail = "Sign in, or send a token (`Authorization: Bearer …`)."
        return problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse("/sign-in?next=" + quote(path + (f"?{query}" if query else ""), safe=""), 303)


def _is_audited(scope: Scope) -> bool:
    """Whether a request belongs in the audit trail: all writes except model calls and alerts, which have records of
    their own, and signing in, which has events."""
    path = scope["path"]
    if scope["method"] in _SAFE or path.startswith((*GATEWAY, INTAKE)) or path == MCP or _is_open(path):
        return False
    return scope["state"]["principal"] is not None
