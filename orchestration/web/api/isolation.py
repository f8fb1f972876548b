"""Isolation mode: show it, turn it on, lift it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from orchestration.app import isolation
from orchestration.config.isolation import Isolation, isolation_of
from orchestration.security.principal import Role
from orchestration.web.api.services import Caller, OptionalText, Services, Text, requires

router = APIRouter()
_AREA = "configuration"
_ADMINISTER = requires(Role.ADMIN, _AREA)


class IsolationState(BaseModel):
    """The isolation in force: since when, by whom, why, for which incident, and how it is lifted."""

    since: datetime | None
    by: str
    reason: str
    incident: str | None
    summary: str
    lift: str


class IsolationView(BaseModel):
    """Whether the system is isolated. `changed` is false where the request found what it asked for."""

    isolated: bool
    isolation: IsolationState | None
    changed: bool = False


class IsolateRequest(BaseModel):
    """Why the system is to be isolated, and the incident that it is done for."""

    reason: Text
    incident: OptionalText | None = None


class LiftRequest(BaseModel):
    """Why the isolation is to be lifted."""

    reason: Text


@router.get("/isolation", dependencies=requires(Role.VIEWER, _AREA), response_model=IsolationView)
def show_isolation(services: Services) -> dict[str, Any]:
    """Show whether the system is isolated, since when, by whom and why."""
    return _view(isolation_of(services.app.store))


# `async`, as for the overrides: the store's subscribers expect to be called on the event loop.
@router.post("/isolation", dependencies=_ADMINISTER, response_model=IsolationView)
async def isolate(services: Services, principal: Caller, body: IsolateRequest) -> dict[str, Any]:
    """Isolate the system. No run starts or is resumed, agents have no tools, and clients get no model calls."""
    found, changed = isolation.isolate(
        services.app, reason=body.reason, actor=principal.name, incident=body.incident or None
    )
    return _view(found, changed=changed)


@router.post("/isolation/lift", dependencies=_ADMINISTER, response_model=IsolationView)
async def lift_isolation(services: Services, principal: Caller, body: LiftRequest) -> dict[str, Any]:
    """Lift the isolation."""
    lifted = isolation.lift(services.app, reason=body.reason, actor=principal.name)
    return _view(None, changed=lifted is not None)


def _view(found: Isolation | None, *, changed: bool = False) -> dict[str, Any]:
    state = None if found is None else found.as_json()
    return {"isolated": found is not None, "isolation": state, "changed": changed}
