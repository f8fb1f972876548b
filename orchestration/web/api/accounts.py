"""Users, tokens, and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, SecretStr
from starlette.requests import Request

from orchestration.errors import ConflictError
from orchestration.security.audit_trail import TrailVerdict
from orchestration.security.principal import Role
from orchestration.storage.access import TokenRow, UserRow
from orchestration.storage.audit import AuditRow
from orchestration.web.api.services import Cursor, Here, Limit, ListPage, Name, Seconds, Who, needs, number_of

router = APIRouter()
_AREA = "access"
_RULE = needs(Role.ADMIN, _AREA)
_Password = Annotated[SecretStr, Field(max_length=256)]


class Me(BaseModel):
    """Who asks; `csrf` goes with everything that a browser's script sends."""

    name: str
    role: Role
    scopes: Sequence[str] | None
    csrf: str


class UserLine(BaseModel):
    """A user, without the password."""

    name: str
    role: Role
    created_at: datetime
    disabled_at: datetime | None


class NewUser(BaseModel):
    """Somebody to be let in."""

    name: Annotated[str, Field(max_length=64)]
    role: Role
    password: _Password


class UserChange(BaseModel):
    """What changes about somebody; the rest stays."""

    role: Role | None = None
    password: _Password | None = None
    disabled: bool | None = None


class ClientLimits(BaseModel):
    """What a client of the gateway endpoint may use in a day (UTC), ask in a minute, and have under way at once."""

    daily_tokens: Annotated[int, Field(gt=0, le=10**12)] | None = None
    daily_usd: Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)] | None = None
    requests_per_minute: Annotated[int, Field(gt=0, le=10**6)] | None = None
    concurrency: Annotated[int, Field(gt=0, le=10_000)] | None = None


class NewToken(BaseModel):
    """A token to be made; without scopes it is for every area, without seconds it lasts until it is revoked."""

    name: Annotated[str, Field(max_length=64)]
    role: Role
    scopes: Annotated[list[str], Field(max_length=20)] | None = None
    seconds: Seconds | None = None
    limits: ClientLimits = ClientLimits()


class TokenLine(BaseModel):
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


class MadeToken(BaseModel):
    """A new token. The secret is shown here, and never again."""

    secret: str
    token: TokenLine


@router.get("/me", dependencies=needs(Role.VIEWER, None))
def show_me(request: Request, who: Who) -> Me:
    """Who is asking, and what they may do."""
    scopes = None if who.scopes is None else sorted(who.scopes)
    return Me(name=who.name, role=who.role, scopes=scopes, csrf=request.state.csrf)


@router.get("/users", dependencies=_RULE)
def list_users(here: Here) -> list[UserLine]:
    """Everybody who can sign in, and those who could."""
    return [_user(user) for user in here.access.table.list_users()]


@router.post("/users", status_code=201, dependencies=_RULE)
def add_user(here: Here, who: Who, asked: NewUser) -> UserLine:
    """Let somebody in."""
    password = asked.password.get_secret_value()
    return _user(here.access.add_user(asked.name, asked.role, password, actor=who.name))


@router.patch("/users/{user}", dependencies=_RULE)
def change_user(here: Here, who: Who, user: Name, asked: UserChange) -> UserLine:
    """Change a role or a password, or keep somebody out; their sessions end."""
    password = asked.password.get_secret_value() if asked.password else None
    changed = here.access.change_user(user, actor=who.name, role=asked.role, password=password, disabled=asked.disabled)
    return _user(changed)


@router.get("/tokens", dependencies=_RULE)
def list_tokens(here: Here) -> list[TokenLine]:
    """All tokens, the newest first, those that are over too."""
    return [_token(token) for token in here.access.table.list_tokens()]


@router.post("/tokens", status_code=201, dependencies=_RULE)
def add_token(here: Here, who: Who, asked: NewToken) -> MadeToken:
    """Make a token for a program: for this API, or with the scope `gateway` for the gateway endpoint."""
    if who.scopes is not None:
        raise ConflictError("expected somebody with every scope, got a token with a few; it cannot make one with more")
    ends = None if asked.seconds is None else here.app.clock.now() + timedelta(seconds=asked.seconds)
    limits = asked.limits.model_dump(exclude_none=True)
    secret, token = here.access.add_token(
        asked.name, asked.role, actor=who.name, scopes=asked.scopes, expires_at=ends, limits=limits
    )
    return MadeToken(secret=secret, token=_token(token))


@router.delete("/tokens/{token}", dependencies=_RULE)
def revoke_token(here: Here, who: Who, token: Name) -> TokenLine:
    """Have a token open nothing any more, at once."""
    return _token(here.access.revoke_token(token, actor=who.name))


@router.get("/audit", dependencies=_RULE)
def list_audit(
    here: Here,
    actor: Annotated[str | None, Query(max_length=128)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[AuditRow]:
    """Who did what, the newest first."""
    found = here.trail.table.list(actor=actor, before=number_of(cursor), limit=limit + 1)
    following = str(found[limit - 1].sequence) if len(found) > limit else None
    return ListPage(items=found[:limit], next=following)


@router.get("/audit/verdict", dependencies=_RULE)
def verify_audit(here: Here) -> TrailVerdict:
    """Whether every line of the trail is as it was written."""
    return here.trail.verify()


def _user(user: UserRow) -> UserLine:
    return UserLine(name=user.name, role=Role(user.role), created_at=user.created_at, disabled_at=user.disabled_at)


def _token(token: TokenRow) -> TokenLine:
    values = {name: getattr(token, name) for name in TokenLine.model_fields}
    return TokenLine(**values)
