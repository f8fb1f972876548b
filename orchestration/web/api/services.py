"""What the routes of the API work with, and who may use which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query
from fastapi.params import Depends as Dependency
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints
from starlette.requests import Request

from orchestration.app.application import Application
from orchestration.app.control import ControlProcess
from orchestration.errors import UsageError
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Principal, Role
from orchestration.web.feed import Feed
from orchestration.web.problems import NotAllowedError, NotSignedInError

T = TypeVar("T")

_MOST_AT_ONCE = 500
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The application and what belongs to its control process."""

    app: Application
    control: ControlProcess
    access: AccessControl
    trail: AuditTrail
    feed: Feed


def handles_of(request: Request) -> ApiServices:
    """The handles that the server was built with."""
    handles: ApiServices = request.app.state.handles
    return handles


def principal_of(request: Request) -> Principal:
    """Who asks. Raises NotSignedInError."""
    found = getattr(request.state, "principal", None)
    if not isinstance(found, Principal):
        raise NotSignedInError("expected somebody who is signed in, got nobody")
    return found


Here = Annotated[ApiServices, Depends(handles_of)]
Who = Annotated[Principal, Depends(principal_of)]


@dataclass(frozen=True, slots=True)
class RequiredRole:
    """What somebody has to be, and for which area, to use a route."""

    role: Role
    area: str | None

    def __call__(self, request: Request) -> None:
        """Raises NotAllowedError for somebody who is less."""
        principal = principal_of(request)
        allowed = principal.role.includes(self.role) if self.area is None else principal.may(self.role, self.area)
        if not allowed:
            narrowed = "" if principal.scopes is None else f", for {', '.join(sorted(principal.scopes)) or 'nothing'}"
            raise NotAllowedError(
                f"expected the role {self.role.value} for {self.area}, got {principal.name} "
                f"({principal.role.value}{narrowed}); ask an admin"
            )


def needs(role: Role, area: str | None) -> list[Dependency]:
    """The dependencies of a route that somebody with this role may use."""
    return [Depends(RequiredRole(role, area))]


def _sane(moment: datetime) -> datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError(f"expected a year from {_FIRST_YEAR + 1} to {_LAST_YEAR - 1}")
    return moment.astimezone(UTC)


def _plain(text: str) -> str:
    if any(not (character.isprintable() or character in "\n\r\t") for character in text):
        raise ValueError("expected text, got characters that are none")
    return text


# RFC 3339 with a time zone.
Moment = Annotated[AwareDatetime, AfterValidator(_sane)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000, strip_whitespace=True), AfterValidator(_plain)]
Words = Annotated[str, StringConstraints(max_length=10_000, strip_whitespace=True), AfterValidator(_plain)]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$")]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=_MOST_AT_ONCE, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[A-Za-z0-9-]{1,64}$", description="`next` of the page before; leave it out for the first."),
]


class ListPage(BaseModel, Generic[T]):
    """A page of a list, the newest first; `next` begins the following one, and is null on the last."""

    items: Sequence[T]
    next: str | None


def page(found: Sequence[Any], limit: int) -> dict[str, Any]:
    """A page of what was found; `limit + 1` were asked for, so that it is known whether there are more."""
    shown = found[:limit]
    return {"items": shown, "next": shown[-1].id if len(found) > limit else None}


def number_of(cursor: str | None) -> int | None:
    """A cursor of a list that goes by number. Raises UsageError."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise UsageError("expected `next` of an earlier page, got something else")
    return int(cursor)
