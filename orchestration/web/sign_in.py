"""Signing in and out, and the page that creates the first user. They work without scripts and style sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from urllib.parse import parse_qsl, quote

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.errors import ConflictError, OrchestratorError
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.web.auth_middleware import cookie_name, cookies_of, is_https, session_of, source_of
from orchestration.web.device_cookie import DeviceCookies
from orchestration.web.intake import read_body
from orchestration.web.local_peer import lock_source
from orchestration.web.problems import status_of
from orchestration.web.stylesheet import framed

_MAX_BYTES = 16_000
# Checking a password takes 16 MB and a fifth of a second, which is the point of scrypt. This many are checked at a
# time, so that a flood of sign-ins cannot take all memory and all worker threads.
_CONCURRENT_CHECKS = 2

_FORM = """{problem}<p>{text}</p>
<form method="post" action="{action}">{hidden}
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="{autocomplete}" required>
<button type="submit">{button}</button></form>"""


class SignInPages:
    """The pages for signing in and out, and for the first user."""

    def __init__(self, access: AccessControl, trail: AuditTrail, devices: DeviceCookies) -> None:
        self._access = access
        self._trail = trail
        self._devices = devices
        self._threads = anyio.CapacityLimiter(_CONCURRENT_CHECKS)

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route("/sign-in", self._show_sign_in, methods=["GET"]),
            Route("/sign-in", self._sign_in, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/setup", self._show_setup, methods=["GET"]),
            Route("/setup", self._set_up, methods=["POST"]),
        ]

    async def _show_sign_in(self, request: Request) -> Response:
        return HTMLResponse(_sign_in_page(_safe_target(request.query_params.get("next", ""))))

    async def _show_setup(self, request: Request) -> Response:
        try:
            used = await anyio.to_thread.run_sync(self._access.has_users)
        except SQLAlchemyError:
            return HTMLResponse(_outage_page(_setup_page("")), 503)
        return (
            HTMLResponse(_used_page(), 410) if used else HTMLResponse(_setup_page(request.query_params.get("key", "")))
        )

    async def _sign_in(self, request: Request) -> Response:
        def open_session(fields: Mapping[str, str]) -> str:
            name, scope = fields.get("name", ""), request.scope
            device = self._devices.device_of(cookies_of(request.headers), name, https=is_https(scope))
            return self._access.sign_in(
                name, fields.get("password", ""), source_of(scope), place=lock_source(scope), device=device
            )

        return await self._start_session(
            request, open_session, lambda fields: _sign_in_page(_safe_target(fields.get("next", "")))
        )

    async def _set_up(self, request: Request) -> Response:
        def open_session(fields: Mapping[str, str]) -> str:
            name = fields.get("name", "")
            session = self._access.set_up(fields.get("key", ""), name, fields.get("password", ""))
            self._trail.write("setup", "first user", "done", {"user": name, "source": source_of(request.scope)})
            return session

        return await self._start_session(request, open_session, lambda fields: _setup_page(fields.get("key", "")))

    async def _sign_out(self, request: Request) -> Response:
        session = request.state.session
        if session:
            everywhere = request.query_params.get("everywhere") == "yes"
            await anyio.to_thread.run_sync(partial(self._access.sign_out, session, everywhere=everywhere))
        response = RedirectResponse("/sign-in", 303)
        # The pages of a session must not stay in the browser of a machine that others use, too.
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
        response.delete_cookie(cookie_name(request.scope), secure=request.url.scheme == "https", httponly=True)
        return response

    async def _start_session(
        self,
        request: Request,
        open_session: Callable[[Mapping[str, str]], str],
        retry_page: Callable[[Mapping[str, str]], str],
    ) -> Response:
        fields: Mapping[str, str] = {}
        try:
            fields = await _fields(request)
            session = await anyio.to_thread.run_sync(open_session, fields, limiter=self._threads)
            # The browser gets another session, and the one that it had before ends.
            if former := session_of(request.headers, https=is_https(request.scope)):
                await anyio.to_thread.run_sync(self._access.sign_out, former)
        except (OrchestratorError, PayloadRefusedError) as error:
            # The message is the same for a wrong name and a wrong password: it must not tell which names exist.
            page = retry_page(fields).replace("<!--problem-->", f'<p role="alert">{escape(str(error))}</p>')
            return HTMLResponse(page, status_of(error))
        except SQLAlchemyError:
            return HTMLResponse(_outage_page(retry_page(fields)), 503)
        response = RedirectResponse(_safe_target(fields.get("next", "")), 303)
        response.set_cookie(
            cookie_name(request.scope),
            session,
            secure=request.url.scheme == "https",
            httponly=True,
            # Not `strict`: following a link in a page or an e-mail to an incident would then arrive without the
            # session.
            samesite="lax",
            path="/",
        )
        self._devices.set_on(response, fields.get("name", ""), https=is_https(request.scope))
        return response


async def _fields(request: Request) -> Mapping[str, str]:
    body = await read_body(request, _MAX_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise ConflictError("The form is malformed. Reload the page and try again.") from None


def _safe_target(text: str) -> str:
    """The path to go to after signing in; `/` for anything that could lead to another server.

    Browsers treat `//host` and `/\\host` as addresses of other servers, so a check for a leading slash is not enough.
    """
    inside = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return quote(text, safe="/?&=%#:,.-_~") if inside else "/"


def _sign_in_page(target: str) -> str:
    hidden = f'<input type="hidden" name="next" value="{escape(target)}">'
    text = "An admin adds users with <code>orchestrator users add NAME</code>."
    return _page("Sign in", text, "/sign-in", hidden, "current-password", "Sign in")


def _setup_page(key: str) -> str:
    hidden = f'<input type="hidden" name="key" value="{escape(key)}">'
    text = "The first user is an admin and can add others. The password must have at least 12 characters."
    return _page("Create the first user", text, "/setup", hidden, "new-password", "Create user and sign in")


def _page(title: str, text: str, action: str, hidden: str, autocomplete: str, button: str) -> str:
    form = _FORM.format(
        text=text,
        action=action,
        hidden=hidden,
        autocomplete=autocomplete,
        button=button,
        problem="<!--problem-->",
    )
    return framed(title, form)


def _used_page() -> str:
    text = "This set-up link has been used: there is a user already, who can add others."
    return framed("The set-up is done", f'<p>{text}</p><p><a href="/sign-in">Sign in</a></p>')


def _outage_page(page: str) -> str:
    return page.replace("<!--problem-->", '<p role="alert">The database is not available. Try again in a moment.</p>')
