"""The pages of signing in by an identity provider: away to it, and back."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from orchestration.errors import OrchestratorError
from orchestration.security.sign_in import SignInOrigin
from orchestration.web import sign_in_forms as forms
from orchestration.web.auth_middleware import cookies_of, is_https, source_of
from orchestration.web.local_peer import lock_source
from orchestration.web.pages.forms import read_form
from orchestration.web.problems import status_of
from orchestration.web.sign_in import SignInPages, safe_target
from orchestration.web.stylesheet import framed

if TYPE_CHECKING:
    from orchestration.security.oidc.sign_in import ProviderJourney, ProviderSignIn

RETURN, LINK = "/sign-in/provider/return", "/account/provider/link"
_SECONDS = 10 * 60
_LONGEST_WORD = 100


class ProviderPages:
    """The way to the identity provider and back. `current` is None while none is configured, `base` is the address of
    the dashboard where it is known."""

    def __init__(
        self, entrance: SignInPages, current: Callable[[], ProviderSignIn | None], base: Callable[[], str | None]
    ) -> None:
        self._entrance = entrance
        self._current = current
        self._base = base

    def routes(self) -> list[Route]:
        """The routes, to be mounted at the root."""
        return [
            Route(forms.PROVIDER, self._start, methods=["GET"]),
            Route(RETURN, self._return, methods=["GET"]),
            Route(forms.PROVIDER_LEAVE, self._leave, methods=["GET"]),
            Route(LINK, self._link, methods=["POST"]),
        ]

    async def _start(self, request: Request) -> Response:
        target = safe_target(request.query_params.get("next", ""))
        journey = await self._begin(request, target, None)
        if isinstance(journey, Response):
            return journey
        response = RedirectResponse(journey.url, 303)
        self._bind(response, request, journey.secret)
        return response

    async def _link(self, request: Request) -> Response:
        if not (request.state.session and request.state.principal):
            return _refused("Only users who have signed in have an account.", 403)
        try:
            await read_form(request)
        except OrchestratorError as error:
            return _refused(str(error), status_of(error))
        journey = await self._begin(request, "/account", request.state.principal.name)
        if isinstance(journey, Response):
            return journey
        # Not a redirect: the content security policy lets no form lead to another site.
        link = f'<p><a href="{escape(journey.url)}">Go on</a></p>'
        response = HTMLResponse(framed("Link your account", f"<p>Sign in there to link it.</p>{link}"))
        self._bind(response, request, journey.secret)
        return response

    async def _return(self, request: Request) -> Response:
        found, query = self._current(), request.query_params
        if found is None:
            return _not_there()
        if refusal := query.get("error"):
            return self._cleared(_refused(f"{found.settings.name} answered: {refusal[:_LONGEST_WORD]}", 401), request)
        try:
            response = await self._finish(found, request)
        except OrchestratorError as error:
            response = _refused(str(error), status_of(error))
        except SQLAlchemyError:
            response = _refused("The database is not available. Try again in a moment.", 503)
        return self._cleared(response, request)

    async def _finish(self, found: ProviderSignIn, request: Request) -> Response:
        from orchestration.security.oidc.sign_in import ProviderReturn

        query, scope = request.query_params, request.scope
        secret = cookies_of(request.headers).get(_cookie(request), "")
        code, state, issuer = query.get("code", ""), query.get("state", ""), query.get("iss", "")
        back = ProviderReturn(secret, state, code, issuer, self._own(request, RETURN))
        step, target = await found.finish(back, SignInOrigin(source_of(scope), lock_source(scope)))
        await self._entrance.end_former(request)
        return self._entrance.lead_on(request, step, safe_target(target))

    async def _leave(self, request: Request) -> Response:
        from orchestration.security.oidc.provider import with_query

        found = self._current()
        if found is None:
            return _not_there()
        try:
            address = (await found.provider.addresses()).end_session
        except OrchestratorError as error:
            return _refused(str(error), status_of(error))
        values = {"client_id": found.settings.client_id, "post_logout_redirect_uri": self._own(request, "/sign-in")}
        return RedirectResponse(with_query(address, values) if address else "/sign-in", 303)

    async def _begin(self, request: Request, target: str, user: str | None) -> ProviderJourney | Response:
        found = self._current()
        if found is None:
            return _not_there()
        try:
            return await found.begin(target, self._own(request, RETURN), user)
        except OrchestratorError as error:
            return _refused(str(error), status_of(error))
        except SQLAlchemyError:
            return _refused("The database is not available. Try again in a moment.", 503)

    def _own(self, request: Request, path: str) -> str:
        """One of our addresses as the provider and browsers know it. The host of a request was checked."""
        here = f"{request.url.scheme}://{request.headers.get('host', '')}"
        return (self._base() or here).rstrip("/") + path

    def _bind(self, response: Response, request: Request, secret: str) -> None:
        response.set_cookie(
            _cookie(request),
            secret,
            max_age=_SECONDS,
            secure=is_https(request.scope),
            httponly=True,
            # Not `strict`: the provider's page leads back here.
            samesite="lax",
            path="/",
        )

    def _cleared(self, response: Response, request: Request) -> Response:
        response.delete_cookie(_cookie(request), secure=is_https(request.scope), httponly=True)
        return response


def _cookie(request: Request) -> str:
    return "__Host-sign-in-provider" if is_https(request.scope) else "sign-in-provider"


def _refused(text: str, status: int) -> HTMLResponse:
    body = f'<p role="alert">{escape(text)}</p><p><a href="/sign-in">Back</a></p>'
    return HTMLResponse(framed("Not signed in", body), status)


def _not_there() -> HTMLResponse:
    return _refused("No identity provider is configured.", 404)
