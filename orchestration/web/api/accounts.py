"""Users, tokens and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import Request

from orchestration.errors import ConflictError
from orchestration.security.audit_trail import TrailVerdict
from orchestration.security.principal import Principal, Role
from orchestration.storage.access import TokenRow, UserRow
from orchestration.storage.audit import AuditRow
from orchestration.web.api.services import Caller, Cursor, Limit, ListPage, Name, Seconds, Services, number_of, requires

router = APIRouter()
_AREA = "access"
_ADMINISTER = requires(Role.ADMIN, _AREA)
# `SecretStr`, so that the password appears neither in validation errors nor in a logged representation of the request.
_Password = Annotated[SecretStr, Field(max_length=256)]


class Me(BaseModel):
    """The principal who makes the request. A script in a browser sends `csrf` as the header `X-CSRF-Token` with every
    write."""

    name: str
    role: Role
    scopes: Sequence[str] | None
    csrf: str


class UserView(BaseModel):
    """A user, without the password."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None
    second_factor: bool


class NewUser(BaseModel):
    """A user to add."""

    name: Annotated[str, Field(max_length=64)]
    role: Role
    password: _Password


class UserChange(BaseModel):
    """The changes to a user. Fields that are left out stay as they are."""

    role: Role | None = None
    password: _Password | None = None
    disabled: bool | None = None


class EndedSessions(BaseModel):
    """How many sessions were ended."""

    ended: int


class ClientLimits(BaseModel):
    """The limits of a client of the gateway endpoint: usage per day and per month (UTC), requests per minute and
    concurrent requests. People are notified at `soft_percent` of its usage."""

    daily_tokens: Annotated[int, Field(gt=0, le=10**12)] | None = None
    daily_usd: Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0, le=10**6)] | None = None
    concurrency: Annotated[int, Field(gt=0, le=10_000)] | None = None
    monthly_tokens: Annotated[int, Field(gt=0, le=10**12)] | None = None
    monthly_usd: Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)] | None = None
    soft_percent: Annotated[float, Field(gt=0, le=100)] | None = None


class NewToken(BaseModel):
    """A token to create. Without `scopes` it covers every area; without `seconds` it is valid until it is revoked."""

    name: Annotated[str, Field(max_length=64)]
    role: Role
    scopes: Annotated[list[str], Field(max_length=20)] | None = None
    seconds: Seconds | None = None
    limits: ClientLimits = ClientLimits()
    # A label, by which budgets and usage are counted together.
    team: Annotated[str, Field(max_length=64)] | None = None


class TokenView(BaseModel):
    """A token, without the secret."""

    id: str
    name: str
    role: Role
    scopes: Sequence[str] | None
    limits: Mapping[str, float]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    team: str | None


class CreatedToken(BaseModel):
    """A new token. This is the only time that its secret is shown."""

    secret: str
    token: TokenView


@router.get("/me", dependencies=requires(Role.VIEWER, None))
def show_me(request: Request, principal: Caller) -> Me:
    """Show the principal who makes the request, with its role and scopes."""
    scopes = None if principal.scopes is None else sorted(principal.scopes)
    return Me(name=principal.name, role=principal.role, scopes=scopes, csrf=request.state.csrf)


@router.get("/users", dependencies=_ADMINISTER)
def list_users(services: Services) -> list[UserView]:
    """List all users, including disabled ones."""
    with_factor = services.second_factors.table.users()
    return [_user(user, user.name in with_factor) for user in services.access.table.list_users()]


@router.post("/users", status_code=201, dependencies=_ADMINISTER)
def add_user(services: Services, principal: Caller, body: NewUser) -> UserView:
    """Add a user."""
    _refuse_scoped(principal, "add users")
    password = body.password.get_secret_value()
    return _user(services.access.add_user(body.name, body.role, password, actor=principal.name), False)


@router.patch("/users/{user}", dependencies=_ADMINISTER)
def change_user(services: Services, principal: Caller, user: Name, body: UserChange) -> UserView:
    """Change a user's role or password, or disable or enable the user. All sessions of the user end."""
    if body.role is not None or body.password is not None:
        _refuse_scoped(principal, "change roles or passwords")
    password = body.password.get_secret_value() if body.password else None
    changed = services.access.change_user(
        user, actor=principal.name, role=body.role, password=password, disabled=body.disabled
    )
    return _user(changed, services.second_factors.has_one(user))


@router.delete("/users/{user}/sessions", dependencies=_ADMINISTER)
def end_sessions(services: Services, principal: Caller, user: Name) -> EndedSessions:
    """End all sessions of a user, on every device."""
    return EndedSessions(ended=services.access.sign_out_everywhere(user, actor=principal.name))


@router.delete("/users/{user}/second-factor", dependencies=_ADMINISTER)
def reset_second_factor(services: Services, principal: Caller, user: Name) -> UserView:
    """Remove the second factor of a user who has lost it. All sessions of the user end."""
    _refuse_scoped(principal, "reset second factors")
    found = services.access.user(user)
    services.second_factors.remove(user, actor=principal.name)
    return _user(found, False)


@router.get("/tokens", dependencies=_ADMINISTER)
def list_tokens(services: Services) -> list[TokenView]:
    """List all tokens, newest first, including expired and revoked ones."""
    return [_token(token) for token in services.access.table.list_tokens()]


@router.post("/tokens", status_code=201, dependencies=_ADMINISTER)
def add_token(services: Services, principal: Caller, body: NewToken) -> CreatedToken:
    """Create a token for a program: for this API or, with the scope `gateway`, for the gateway endpoint."""
    _refuse_scoped(principal, "create tokens")
    expires_at = None if body.seconds is None else services.app.clock.now() + timedelta(seconds=body.seconds)
    limits = body.limits.model_dump(exclude_none=True)
    secret, token = services.access.add_token(
        body.name,
        body.role,
        actor=principal.name,
        scopes=body.scopes,
        expires_at=expires_at,
        limits=limits,
        team=body.team,
    )
    return CreatedToken(secret=secret, token=_token(token))


@router.delete("/tokens/{token}", dependencies=_ADMINISTER)
def revoke_token(services: Services, principal: Caller, token: Name) -> TokenView:
    """Revoke a token. It becomes invalid immediately."""
    return _token(services.access.revoke_token(token, actor=principal.name))


@router.get("/audit", dependencies=_ADMINISTER)
def list_audit(
    services: Services,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[AuditRow]:
    """List the entries of the audit trail, newest first."""
    found = services.trail.table.list(actor=actor, before=number_of(cursor), limit=limit + 1)
    following = str(found[limit - 1].sequence) if len(found) > limit else None
    return ListPage(items=found[:limit], next=following)


@router.get("/audit/verdict", dependencies=_ADMINISTER)
def verify_audit(services: Services) -> TrailVerdict:
    """Verify the chain of the audit trail: whether any entry was changed or removed."""
    return services.trail.verify()


def _refuse_scoped(principal: Principal, what: str) -> None:
    """Raise ConflictError for a token with scopes: a new token or password would be a way around them."""
    if principal.scopes is not None:
        raise ConflictError(
            f"A token with scopes cannot {what}, which could have more scopes. Sign in, or use another token."
        )


def _user(user: UserRow, second_factor: bool) -> UserView:
    values = {name: getattr(user, name) for name in ("name", "created_at", "disabled_at")}
    return UserView(role=Role(user.role), second_factor=second_factor, **values)


def _token(token: TokenRow) -> TokenView:
    values = {name: getattr(token, name) for name in TokenView.model_fields}
    return TokenView(**values)
