"""The cookies of signing in: one for the session, one for a sign-in that has begun."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from orchestration.security.sign_in import SignInStep, SignInStepKind
from orchestration.web.auth_middleware import cookie_name, cookies_of, is_https

# As long as the longest step may take; the record in the database decides.
_SECONDS = 15 * 60


def set_session(response: Response, request: Request, session: str) -> None:
    """Give the browser the session."""
    response.set_cookie(
        cookie_name(request.scope),
        session,
        secure=is_https(request.scope),
        httponly=True,
        # Not `strict`: following a link in a page or an e-mail to an incident would then arrive without the session.
        samesite="lax",
        path="/",
    )


def set_challenge(response: Response, request: Request, step: SignInStep) -> None:
    """Bind a step of a sign-in to the browser."""
    response.set_cookie(
        _name(request, step.kind),
        step.secret,
        max_age=_SECONDS,
        secure=is_https(request.scope),
        httponly=True,
        # Not `strict`: a sign-in that an identity provider led back comes from its site.
        samesite="lax",
        path="/",
    )


def challenge_of(request: Request, kind: SignInStepKind) -> str:
    """The step of a sign-in that is bound to the browser; empty if there is none."""
    return cookies_of(request.headers).get(_name(request, kind), "")


def clear_challenge(response: Response, request: Request, kind: SignInStepKind) -> None:
    """Take the step away from the browser."""
    response.delete_cookie(_name(request, kind), secure=is_https(request.scope), httponly=True)


def _name(request: Request, kind: SignInStepKind) -> str:
    return f"{'__Host-' if is_https(request.scope) else ''}sign-in-{kind.value}"
