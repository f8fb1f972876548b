"""Signing in and out, and the page on which the first user is made. They need no script and no style sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
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
from orchestration.web.auth_middleware import cookie_name, source_of
from orchestration.web.intake import read_body
from orchestration.web.problems import status_of

_MOST_BYTES = 16_000
_STATIC = Path(__file__).with_name("static")
# A password takes 16 MB and a fifth of a second to check: so many at once, whoever asks.
_AT_ONCE = 2

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>{style}</head>
<body><main class="container"><h1>{title}</h1>{problem}<p>{text}</p>
<form method="post" action="{action}">{hidden}
<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="{autocomplete}" required>
<button type="submit">{button}</button></form></main></body></html>
"""


class SignInPages:
    """The pages at the door."""

    def __init__(self, access: AccessControl, trail: AuditTrail) -> None:
        self._access = access
        self._trail = trail
        self._threads = anyio.CapacityLimiter(_AT_ONCE)

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
        return HTMLResponse(_sign_in_page(_way(request.query_params.get("next", ""))))

    async def _show_setup(self, request: Request) -> Response:
        return HTMLResponse(_setup_page(request.query_params.get("key", "")))

    async def _sign_in(self, request: Request) -> Response:
        def enter(fields: Mapping[str, str]) -> str:
            return self._access.sign_in(fields.get("name", ""), fields.get("password", ""), source_of(request.scope))

        return await self._enter(request, enter, lambda fields: _sign_in_page(_way(fields.get("next", ""))))

    async def _set_up(self, request: Request) -> Response:
        def enter(fields: Mapping[str, str]) -> str:
            name = fields.get("name", "")
            session = self._access.set_up(fields.get("key", ""), name, fields.get("password", ""))
            self._trail.write("setup", "first user", "done", {"user": name, "source": source_of(request.scope)})
            return session

        return await self._enter(request, enter, lambda fields: _setup_page(fields.get("key", "")))

    async def _sign_out(self, request: Request) -> Response:
        session = request.state.session
        if session:
            await anyio.to_thread.run_sync(self._access.sign_out, session)
        response = RedirectResponse("/sign-in", 303)
        response.delete_cookie(cookie_name(request.scope), secure=request.url.scheme == "https", httponly=True)
        return response

    async def _enter(
        self,
        request: Request,
        enter: Callable[[Mapping[str, str]], str],
        again: Callable[[Mapping[str, str]], str],
    ) -> Response:
        fields: Mapping[str, str] = {}
        try:
            fields = await _fields(request)
            session = await anyio.to_thread.run_sync(enter, fields, limiter=self._threads)
        except (OrchestratorError, PayloadRefusedError) as error:
            page = again(fields).replace("<!--problem-->", f'<p role="alert">{escape(str(error))}</p>')
            return HTMLResponse(page, status_of(error))
        except SQLAlchemyError:
            return HTMLResponse(_page_of_outage(again(fields)), 503)
        response = RedirectResponse(_way(fields.get("next", "")), 303)
        response.set_cookie(
            cookie_name(request.scope),
            session,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
            path="/",
        )
        return response


async def _fields(request: Request) -> Mapping[str, str]:
    body = await read_body(request, _MOST_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise ConflictError("expected a form, got something else; load the page again") from None


def _way(text: str) -> str:
    """Where to go afterwards: a path of ours, never another server."""
    inside = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return quote(text, safe="/?&=%#:,.-_~") if inside else "/"


def _sign_in_page(way: str) -> str:
    hidden = f'<input type="hidden" name="next" value="{escape(way)}">'
    text = "Users are added with <code>orchestrator users add NAME</code>."
    return _page("Sign in", text, "/sign-in", hidden, "current-password", "Sign in")


def _setup_page(key: str) -> str:
    hidden = f'<input type="hidden" name="key" value="{escape(key)}">'
    text = "The first user is an admin, and can add others. The password has at least 12 characters."
    return _page("Make the first user", text, "/setup", hidden, "new-password", "Make the user and sign in")


def _page(title: str, text: str, action: str, hidden: str, autocomplete: str, button: str) -> str:
    found = sorted(_STATIC.glob("vendor/pico-*.min.css"))
    style = f'<link rel="stylesheet" href="/static/vendor/{found[-1].name}">' if found else ""
    return _PAGE.format(
        title=title, style=style, text=text, action=action, hidden=hidden, autocomplete=autocomplete, button=button,
        problem="<!--problem-->",
    )  # fmt: skip


def _page_of_outage(page: str) -> str:
    return page.replace("<!--problem-->", '<p role="alert">The database does not answer; try again in a moment.</p>')
