"""What the routes of the API share: services, authorization, parameter types and pagination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Path, Query
from fastapi.params import Depends as Dependency
from pydantic import BaseModel, Field
from starlette.requests import Request

from orchestration.app.application import Application
from orchestration.app.control import ControlProcess
from orchestration.domain import request_fields
from orchestration.errors import UsageError
from orchestration.security.access import AccessControl
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Principal, Role
from orchestration.security.second_factor import SecondFactors
from orchestration.web.feed import Feed
from orchestration.web.problems import NotAllowedError, NotSignedInError
from orchestration.web.run_progress import RunProgressReader

T = TypeVar("T")

_MAX_PAGE_SIZE = 500


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The application, its control process, and what the server adds to them."""

    app: Application
    control: ControlProcess
    access: AccessControl
    second_factors: SecondFactors
    trail: AuditTrail
    feed: Feed
    progress: RunProgressReader


def services_of(request: Request) -> ApiServices:
    """The services that the server was built with."""
    services: ApiServices = request.app.state.services
    return services


def principal_of(request: Request) -> Principal:
    """The principal who makes a request. Raises NotSignedInError."""
    found = getattr(request.state, "principal", None)
    if not isinstance(found, Principal):
        raise NotSignedInError("Sign in first.")
    return found


Services = Annotated[ApiServices, Depends(services_of)]
Caller = Annotated[Principal, Depends(principal_of)]


@dataclass(frozen=True, slots=True)
class RequiredRole:
    """The role, and the area that a token's scopes must contain, that a route requires."""

    role: Role
    area: str | None

    def __call__(self, request: Request) -> None:
        """Raise NotAllowedError unless the principal has the role for the area."""
        principal = principal_of(request)
        # A route without an area, such as `GET /me`, is open to every token whatever its scopes are.
        allowed = principal.role.includes(self.role) if self.area is None else principal.may(self.role, self.area)
        if not allowed:
            has = f"the role {principal.role.value}"
            if principal.scopes is not None:
                has += f" and the scopes {', '.join(sorted(principal.scopes)) or '(none)'}"
            raise NotAllowedError(
                f"This requires the role {self.role.value} for {self.area}. {principal.name} has {has}. Ask an admin."
            )


def requires(role: Role, area: str | None) -> list[Dependency]:
    """The dependencies of a route that requires this role."""
    return [Depends(RequiredRole(role, area))]


Moment = request_fields.Moment
Text = request_fields.Text
OptionalText = request_fields.OptionalText
# No slash and no leading dot: identifiers are used in paths of files in several places.
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}$")]
# A year at most: what is meant to last longer belongs in the configuration file.
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]
Limit = Annotated[int, Query(ge=1, le=_MAX_PAGE_SIZE, description="The maximum number of items.")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9-]{1,64}$",
        description="The `next` value of the previous page. Omit it for the first page.",
    ),
]


class ListPage(BaseModel, Generic[T]):
    """One page of a list, newest first. `next` is the cursor of the following page, and null on the last one."""

    items: Sequence[T]
    next: str | None


def page(found: Sequence[Any], limit: int) -> dict[str, Any]:
    """A page of what a query found. The query asks for `limit + 1` items, so that it is known whether more follow."""
    shown = found[:limit]
    return {"items": shown, "next": shown[-1].id if len(found) > limit else None}


def number_of(cursor: str | None) -> int | None:
    """The number in a cursor of a list that is ordered by number. Raises UsageError."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise UsageError("The cursor is invalid. Pass the `next` value of the previous page.")
    return int(cursor)
