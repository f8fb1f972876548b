"""The page of one's own account: the second factor and its recovery codes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from html import escape

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestration.errors import OrchestratorError
from orchestration.security.sign_in import SignIn
from orchestration.web import sign_in_forms as forms
from orchestration.web.pages.forms import Form, csrf_of, read_form
from orchestration.web.problems import status_of
from orchestration.web.sign_in import SignInPages
from orchestration.web.stylesheet import framed

PATH = "/account"
_BACK = '<p><a href="/">Back to the dashboard</a></p>'
_KNOWN = (
    '<label>Password<input name="password" type="password" autocomplete="current-password" maxlength="256" required>'
    "</label>"
)
_CODE = (
    '<label>Code, or a recovery code<input name="code" autocomplete="one-time-code" maxlength="64" required></label>'
)
_Action = Callable[[str, Form, Request], Awaitable[Response]]


class AccountPages:
    """The account of whoever is signed in. Tokens have none."""

    def __init__(self, sign_in: SignIn, pages: SignInPages, provider: Callable[[], str]) -> None:
        self._provider = provider
        self._sign_in = sign_in
        self._pages = pages

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        actions: dict[str, _Action] = {"set-up": self._set_up, "renew": self._renew, "remove": self._remove}
        return [
            Route(PATH, self._show, methods=["GET"]),
            *(
                Route(f"{PATH}/second-factor/{name}", partial(self._submit, action), methods=["POST"])
                for name, action in actions.items()
            ),
        ]

    async def _show(self, request: Request) -> Response:
        if not (user := _user_of(request)):
            return HTMLResponse(_no_account(), 403)
        try:
            return HTMLResponse(await anyio.to_thread.run_sync(self._page, user, csrf_of(request)))
        except SQLAlchemyError:
            return HTMLResponse(framed("Account", "<p>The database is not available. Try again in a moment.</p>"), 503)

    async def _submit(self, action: _Action, request: Request) -> Response:
        if not (user := _user_of(request)):
            return HTMLResponse(_no_account(), 403)
        try:
            return await action(user, await read_form(request), request)
        except OrchestratorError as error:
            page = await anyio.to_thread.run_sync(self._page, user, csrf_of(request))
            # Not 401, which browsers and scripts take for the end of the session.
            status = 422 if status_of(error) == 401 else status_of(error)
            return HTMLResponse(forms.with_problem(page, str(error)), status)
        except SQLAlchemyError:
            text = "<p>The database is not available. Nothing was changed.</p>"
            return HTMLResponse(framed("Account", text), 503)

    async def _set_up(self, user: str, form: Form, request: Request) -> Response:
        origin, password = self._pages.origin(request, user), form.text("password")
        begin = partial(self._sign_in.begin_enrolment, user, password, origin)
        step = await anyio.to_thread.run_sync(begin, limiter=self._pages.threads)
        return self._pages.lead_on(request, step, PATH)

    async def _renew(self, user: str, form: Form, request: Request) -> Response:
        origin = self._pages.origin(request, user)
        renew = partial(self._sign_in.renew_recovery_codes, user, form.text("password"), form.text("code"), origin)
        codes = await anyio.to_thread.run_sync(renew, limiter=self._pages.threads)
        return HTMLResponse(forms.recovery_page(codes, PATH))

    async def _remove(self, user: str, form: Form, request: Request) -> Response:
        origin = self._pages.origin(request, user)
        remove = partial(self._sign_in.remove_second_factor, user, form.text("password"), form.text("code"), origin)
        await anyio.to_thread.run_sync(remove, limiter=self._pages.threads)
        return RedirectResponse("/sign-in", 303)

    def _page(self, user: str, csrf: str) -> str:
        hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
        factors = self._sign_in.factors
        if not factors.has_one(user):
            text = "Your password alone signs you in. A second factor is a code that your telephone shows."
            body = f"<p>{text}</p>{_form('set-up', hidden + _KNOWN, 'Set up a second factor')}"
        else:
            left = factors.table.count_recovery_codes(user)
            text = f"You sign in by your password and a code. {left} recovery code{'' if left == 1 else 's'} left."
            body = (
                f"<p>{text}</p>{_form('renew', hidden + _KNOWN + _CODE, 'Make new recovery codes')}"
                f"{_form('remove', hidden + _KNOWN + _CODE, 'Remove the second factor')}"
            )
        if name := self._provider():
            button = f"Link with {escape(name)}"
            body += f'<form method="post" action="{PATH}/provider/link">{hidden}<button>{button}</button></form>'
        return framed(f"Account of {user}", forms.PROBLEM + body + _BACK)


def _form(name: str, fields: str, button: str) -> str:
    action = f"{PATH}/second-factor/{name}"
    return f'<form method="post" action="{action}">{fields}<button type="submit">{button}</button></form>'


def _user_of(request: Request) -> str:
    """The user who is signed in; empty for tokens, and without sign-in."""
    return request.state.principal.name if request.state.session and request.state.principal else ""


def _no_account() -> str:
    return framed("No account", f"<p>Only users who have signed in have an account.</p>{_BACK}")
