"""The door of the server: who asks, whether they may come in this way, and a line in the audit trail for every write.

1. The `Host` has to be one of ours. 2. Who asks is found out: a bearer token, else a session's cookie. 3. What a
browser sends has to come from a page of ours, and to the API with the session's token. 4. What is left goes on, with
`request.state.principal` and `request.state.csrf`; what somebody may do is judged behind the door, by each route.
"""

from __future__ import annotations

import hmac
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
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestration import logs
from orchestration.errors import OrchestratorError
from orchestration.security.access import AccessControl, SignedIn
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Principal, Role
from orchestration.web.exposure import Exposure
from orchestration.web.problems import of_error, problem

INTAKE = "/api/v1/intake/"
GATEWAY = "/v1/"
_HEALTH = ("/healthz", "/readyz")
_OPEN = ("/sign-in", "/setup")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = "local"
_log = logs.get_logger("web")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # `no-referrer` would make browsers send `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class AuthMiddleware:
    """Stands before everything that is served. `isolated` says whether nothing may be changed now; `recorded` returns
    when all that was said is on the timeline."""

    def __init__(
        self,
        app: ASGIApp,
        access: AccessControl,
        trail: AuditTrail,
        exposure: Exposure,
        isolated: Callable[[], bool],
        recorded: Callable[[], Awaitable[None]],
    ) -> None:
        self._app = app
        self._access = access
        self._trail = trail
        self._exposure = exposure
        self._isolated = isolated
        self._recorded = recorded
        self._open_csrf = secrets.token_urlsafe(24)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        send = partial(_send_safely, scope, send)
        if scope["path"] in _HEALTH:
            await self._app(scope, receive, send)
            return
        refusal = await self._enter(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
        elif _is_audited(scope):
            await self._audited(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _enter(self, scope: Scope) -> Response | None:
        """Let a request in, and note whose it is; else the answer that it gets."""
        headers, path, state = Headers(scope=scope), scope["path"], scope.setdefault("state", {})
        state["principal"], state["csrf"], state["token"], state["session"] = None, "", None, ""
        if not self._exposure.answers_to(headers.get("host", "")):
            return problem(421, "expected a host name of this server; name it with `orchestrator serve --name HOST`")
        if path.startswith(INTAKE):
            # It has keys of its own, which an `Authorization` header may carry.
            return None
        try:
            entered = await anyio.to_thread.run_sync(self._identify, headers, source_of(scope), state)
        except (OrchestratorError, SQLAlchemyError) as error:
            return of_error(error)
        if entered is not None:
            state["principal"], state["csrf"], state["token"] = entered.principal, entered.csrf, entered.token
        return self._judge(scope, headers, entered)

    def _identify(self, headers: Headers, source: str, state: dict[str, Any]) -> SignedIn | None:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        by_token = scheme.lower() == "bearer"
        if not self._exposure.sign_in:
            # A client of the gateway endpoint keeps its limits; any other word will do, since some clients need one.
            known = self._access.known_token(secret.strip()) if by_token else None
            return known or SignedIn(Principal(_LOCAL, Role.ADMIN), self._open_csrf)
        if by_token:
            return self._access.of_token(secret.strip(), source)
        state["session"] = session_of(headers)
        return self._access.of_session(state["session"]) if state["session"] else None

    def _judge(self, scope: Scope, headers: Headers, entered: SignedIn | None) -> Response | None:
        path, reads = scope["path"], scope["method"] in _SAFE
        by_token = entered is not None and entered.token is not None
        if not reads and not by_token and not _is_own(headers):
            return problem(403, "expected a request of a page of this server, got one of another")
        if entered is None:
            return None if path in _OPEN or path.startswith("/static/") else _stranger(scope)
        if not reads and _is_by_script(path) and not by_token and not self._knows_session(headers, entered):
            return problem(403, "expected the session's token in X-CSRF-Token; `GET /api/v1/me` has it")
        if not reads and self._isolated() and path not in ("/sign-in", "/sign-out"):
            return problem(503, "this system is isolated: nothing may be changed until a person ends that")
        return None

    def _knows_session(self, headers: Headers, entered: SignedIn) -> bool:
        """Whether it comes from a page that has the session's token; without sign-in there are no sessions."""
        shown = headers.get("x-csrf-token", "").encode()
        return not self._exposure.sign_in or hmac.compare_digest(shown, entered.csrf.encode())

    async def _audited(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the line, and have on the timeline what was done, before the answer begins: what somebody was told is
        done stays so, whatever becomes of this process."""
        written = False

        async def write(status: int) -> None:
            nonlocal written
            written = True
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._write, scope, status)
                await self._recorded()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                await write(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, note)
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
            _log.error("audit.unwritten", action=scope["path"], status=status, error=type(error).__name__)


def _is_by_script(path: str) -> bool:
    """Whether what is sent there comes from a script or a program; forms carry their token among their fields, and the
    pages look at it."""
    return path.startswith(("/api/", GATEWAY))


def source_of(scope: Scope) -> str:
    """The address that a request came from."""
    client = scope.get("client")
    return str(client[0])[:64] if client else ""


def cookie_name(scope: Scope) -> str:
    """What the session's cookie is called; the prefix has browsers see that it is ours alone."""
    return "__Host-session" if scope.get("scheme") == "https" else "session"


def session_of(headers: Headers) -> str:
    """The session that a browser shows."""
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    found = cookies.get("__Host-session") or cookies.get("session")
    return found.value if found else ""


async def _send_safely(scope: Scope, send: Send, message: Message) -> None:
    """Add what tells browsers to be careful."""
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if not scope["path"].startswith("/static/"):
            headers.setdefault("Cache-Control", "no-store")
        if scope.get("scheme") == "https":
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    await send(message)


def _is_own(headers: Headers) -> bool:
    """Whether a browser sent it from a page of ours; other programs send neither header."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    scheme, separator, host = headers.get("origin", "").partition("://")
    return not scheme or (bool(separator) and host == headers.get("host"))


def _stranger(scope: Scope) -> Response:
    path = scope["path"]
    if scope["method"] not in _SAFE or path.startswith(("/api/", GATEWAY, "/metrics", "/stream")):
        detail = "expected a token (`Authorization: Bearer …`) or a session, got neither; sign in, or make a token"
        return problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
    query = scope.get("query_string", b"").decode("latin-1")
    return RedirectResponse("/sign-in?next=" + quote(path + (f"?{query}" if query else ""), safe=""), 303)


def _is_audited(scope: Scope) -> bool:
    """Writes of people and programs; model calls and alerts have records of their own."""
    path = scope["path"]
    if scope["method"] in _SAFE or path.startswith((GATEWAY, INTAKE)) or path in _OPEN:
        return False
    return scope["state"]["principal"] is not None
