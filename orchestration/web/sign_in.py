"""Signing in and out, and the page that creates the first user. They work without scripts and style sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
from orchestration.security.sign_in import ExpiredSignInError, SignIn, SignInOrigin, SignInStep, SignInStepKind
from orchestration.web import sign_in_forms as forms
from orchestration.web.auth_middleware import cookie_name, cookies_of, is_https, session_of, source_of
from orchestration.web.device_cookie import DeviceCookies
from orchestration.web.intake import read_body
from orchestration.web.local_peer import lock_source
from orchestration.web.problems import status_of
from orchestration.web.sign_in_cookies import challenge_of, clear_challenge, set_challenge, set_session
from orchestration.web.stylesheet import framed

_MAX_BYTES = 16_000
# Checking a password takes 16 MB and a fifth of a second, which is the point of scrypt. This many are checked at a
# time, so that a flood of sign-ins cannot take all memory and all worker threads.
_CONCURRENT_CHECKS = 2

Fields = Mapping[str, str]
Step = Callable[[Fields], SignInStep]


class SignInPages:
    """The pages for signing in and out, and for the first user. `issuer` is what authenticator programs call us,
    `provider` what an identity provider is called, if there is one."""

    def __init__(
        self,
        access: AccessControl,
        sign_in: SignIn,
        trail: AuditTrail,
        devices: DeviceCookies,
        issuer: Callable[[], str],
        provider: Callable[[], str],
    ) -> None:
        self.threads = anyio.CapacityLimiter(_CONCURRENT_CHECKS)
        self._access = access
        self._sign_in = sign_in
        self._trail = trail
        self._devices = devices
        self._issuer = issuer
        self._provider = provider

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route("/sign-in", self._show_sign_in, methods=["GET"]),
            Route("/sign-in", self._check_password, methods=["POST"]),
            Route("/sign-in/code", self._show_code, methods=["GET"]),
            Route("/sign-in/code", self._check_code, methods=["POST"]),
            Route("/sign-in/enrol", self._show_enrolment, methods=["GET"]),
            Route("/sign-in/enrol", self._enrol, methods=["POST"]),
            Route("/sign-out", self._sign_out, methods=["POST"]),
            Route("/setup", self._show_setup, methods=["GET"]),
            Route("/setup", self._set_up, methods=["POST"]),
        ]

    def origin(self, request: Request, user: str) -> SignInOrigin:
        """Where a sign-in as this user comes from."""
        device = self._devices.device_of(cookies_of(request.headers), user, https=is_https(request.scope))
        return SignInOrigin(source_of(request.scope), lock_source(request.scope), device)

    async def _show_sign_in(self, request: Request) -> Response:
        left = "left" in request.query_params
        return HTMLResponse(forms.sign_in_page(_target_of(request.query_params), self._provider(), left=left))

    async def _show_code(self, request: Request) -> Response:
        return HTMLResponse(forms.code_page(_target_of(request.query_params)))

    async def _show_enrolment(self, request: Request) -> Response:
        return await self._enrolment_page(request, _target_of(request.query_params))

    async def _show_setup(self, request: Request) -> Response:
        try:
            used = await anyio.to_thread.run_sync(self._access.has_users)
        except SQLAlchemyError:
            return HTMLResponse(_outage_page(forms.setup_page("")), 503)
        if used:
            return HTMLResponse(_used_page(), 410)
        return HTMLResponse(forms.setup_page(request.query_params.get("key", "")))

    async def _check_password(self, request: Request) -> Response:
        def check(fields: Fields) -> SignInStep:
            name = fields.get("name", "")
            return self._sign_in.sign_in(name, fields.get("password", ""), self.origin(request, name))

        return await self._advance(
            request, check, lambda fields: forms.sign_in_page(_target_of(fields), self._provider())
        )

    async def _check_code(self, request: Request) -> Response:
        def check(fields: Fields) -> SignInStep:
            challenge = challenge_of(request, SignInStepKind.CODE)
            return self._sign_in.confirm(challenge, fields.get("code", ""), source_of(request.scope))

        return await self._advance(request, check, lambda fields: forms.code_page(_target_of(fields)))

    async def _set_up(self, request: Request) -> Response:
        def create(fields: Fields) -> SignInStep:
            name = fields.get("name", "")
            origin = SignInOrigin(source_of(request.scope), lock_source(request.scope))
            step = self._sign_in.set_up(fields.get("key", ""), name, fields.get("password", ""), origin)
            self._trail.write("setup", "first user", "done", {"user": name, "source": origin.source})
            return step

        return await self._advance(request, create, lambda fields: forms.setup_page(fields.get("key", "")))

    async def _enrol(self, request: Request) -> Response:
        fields: Fields = {}
        try:
            fields = await read_fields(request)
            enrol = partial(
                self._sign_in.enrol,
                challenge_of(request, SignInStepKind.ENROLMENT),
                fields.get("code", ""),
                source_of(request.scope),
            )
            step, codes = await anyio.to_thread.run_sync(enrol, limiter=self.threads)
            self._record(step.user, "second factor set up", request)
        except (OrchestratorError, PayloadRefusedError) as error:
            page = await self._enrolment_page(request, _target_of(fields))
            return HTMLResponse(forms.with_problem(bytes(page.body).decode(), str(error)), status_of(error))
        except SQLAlchemyError:
            return HTMLResponse(_outage_page(forms.code_page("")), 503)
        response = HTMLResponse(forms.recovery_page(codes, _target_of(fields)))
        self._finish(response, request, step)
        return response

    async def _sign_out(self, request: Request) -> Response:
        session = request.state.session
        if session:
            everywhere = request.query_params.get("everywhere") == "yes"
            await anyio.to_thread.run_sync(partial(self._access.sign_out, session, everywhere=everywhere))
        response = RedirectResponse("/sign-in?left=yes" if self._provider() else "/sign-in", 303)
        # The pages of a session must not stay in the browser of a machine that others use, too.
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
        response.delete_cookie(cookie_name(request.scope), secure=request.url.scheme == "https", httponly=True)
        return response

    async def _advance(self, request: Request, step: Step, retry_page: Callable[[Fields], str]) -> Response:
        """Carry out one step of a sign-in, and lead to the next."""
        fields: Fields = {}
        try:
            fields = await read_fields(request)
            done = await anyio.to_thread.run_sync(step, fields, limiter=self.threads)
            if done.kind is SignInStepKind.SESSION:
                await self.end_former(request)
        except ExpiredSignInError as error:
            return HTMLResponse(forms.expired_page(), status_of(error))
        except (OrchestratorError, PayloadRefusedError) as error:
            # The message is the same for a wrong name and a wrong password: it must not tell which names exist.
            return HTMLResponse(forms.with_problem(retry_page(fields), str(error)), status_of(error))
        except SQLAlchemyError:
            return HTMLResponse(_outage_page(retry_page(fields)), 503)
        return self.lead_on(request, done, _target_of(fields))

    def lead_on(self, request: Request, step: SignInStep, target: str) -> Response:
        """The response that leads a browser to its next step."""
        if step.kind is SignInStepKind.SESSION:
            response = RedirectResponse(target, 303)
            self._finish(response, request, step)
            return response
        page = {SignInStepKind.CODE: "code", SignInStepKind.ENROLMENT: "enrol"}[step.kind]
        response = RedirectResponse(f"/sign-in/{page}?next={quote(target, safe='')}", 303)
        set_challenge(response, request, step)
        return response

    def _finish(self, response: Response, request: Request, step: SignInStep) -> None:
        set_session(response, request, step.secret)
        for kind in (SignInStepKind.CODE, SignInStepKind.ENROLMENT):
            if challenge_of(request, kind):
                clear_challenge(response, request, kind)
        self._devices.set_on(response, step.user, https=is_https(request.scope))

    async def end_former(self, request: Request) -> None:
        """End the session that a browser had before it gets another one."""
        if former := session_of(request.headers, https=is_https(request.scope)):
            await anyio.to_thread.run_sync(self._access.sign_out, former)

    async def _enrolment_page(self, request: Request, target: str) -> HTMLResponse:
        challenge = challenge_of(request, SignInStepKind.ENROLMENT)
        try:
            found = await anyio.to_thread.run_sync(self._sign_in.enrolment, challenge, self._issuer())
        except OrchestratorError as error:
            return HTMLResponse(forms.expired_page(), status_of(error))
        return HTMLResponse(forms.enrolment_page(found, target))

    def _record(self, user: str, action: str, request: Request) -> None:
        self._trail.write(user, action, "done", {"user": user, "source": source_of(request.scope)})


async def read_fields(request: Request) -> Fields:
    """The fields of a form. Raises ConflictError, PayloadRefusedError."""
    body = await read_body(request, _MAX_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise ConflictError("The form is malformed. Reload the page and try again.") from None


def safe_target(text: str) -> str:
    """The path to go to after signing in; `/` for anything that could lead to another server.

    Browsers treat `//host` and `/\\host` as addresses of other servers, so a check for a leading slash is not enough.
    """
    inside = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return quote(text, safe="/?&=%#:,.-_~") if inside else "/"


def _target_of(fields: Fields) -> str:
    return safe_target(fields.get("next", ""))


def _used_page() -> str:
    text = "This set-up link has been used: there is a user already, who can add others."
    return framed("The set-up is done", f'<p>{text}</p><p><a href="/sign-in">Sign in</a></p>')


def _outage_page(page: str) -> str:
    return forms.with_problem(page, "The database is not available. Try again in a moment.")
