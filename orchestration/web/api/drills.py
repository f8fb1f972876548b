"""Drills: list them, start and stop them, and show their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from orchestration.app.drill_sessions import DrillSession, DrillSessions
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.drills import catalogue
from orchestration.drills.expectation import DrillOutcome
from orchestration.drills.model import Drill
from orchestration.security.principal import Role
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.web.api.services import Caller, Limit, OptionalText, Services, Text, requires

router = APIRouter()
_AREA = "drills"
_VIEW = requires(Role.VIEWER, _AREA)
_OPERATE = requires(Role.OPERATOR, _AREA)


class DrillView(BaseModel):
    """A drill and its expected outcome, with times in seconds after the fault. `impossible` says why it cannot run on
    this machine; `last` is its latest result."""

    name: str
    scenario: Scenario
    fault: str
    quick: bool
    impossible: str
    ending: DrillOutcome
    severity: Severity | None
    detected_within: float
    resolved_within: float
    last: DrillRecord | None


class NewDrills(BaseModel):
    """Names of drills, or of scenarios for all drills of a scenario. Results are recorded under the name of the game
    day, if one is given."""

    drills: Annotated[list[Text], Field(min_length=1, max_length=100)]
    game_day: Annotated[OptionalText, Field(max_length=100)] = ""


@router.get("/drills", dependencies=_VIEW)
def list_drills(services: Services) -> list[DrillView]:
    """List all drills."""
    history = DrillHistory(services.app.database)
    return [_view(one, next(iter(history.list(one.name, 1)), None)) for one in catalogue.list_drills()]


@router.post("/drills", status_code=202, dependencies=_OPERATE)
async def begin_drills(services: Services, principal: Caller, body: NewDrills) -> DrillSession:
    """Start drills; only one set can run at a time. Each drill has a project and a database of its own, so it affects
    neither this project nor its statistics."""
    return await DrillSessions(services.app).begin(
        body.drills, principal.name, services.app.redactor.text(body.game_day)
    )


@router.get("/drills/under-way", dependencies=_VIEW)
def show_drills_under_way(services: Services) -> DrillSession | None:
    """Show the drills that are running and their progress; null if none are."""
    return DrillSessions(services.app).under_way()


@router.delete("/drills/under-way", status_code=202, dependencies=_OPERATE)
async def stop_drills(services: Services, principal: Caller) -> DrillSession:
    """Stop the running drills and clean up after them."""
    return await anyio.to_thread.run_sync(DrillSessions(services.app).stop, principal.name)


@router.get("/drill-results", dependencies=_VIEW)
def list_drill_results(
    services: Services, drill: Annotated[str | None, Query(max_length=64)] = None, limit: Limit = 50
) -> Sequence[DrillRecord]:
    """List the results of drills, newest first."""
    return DrillHistory(services.app.database).list(drill, limit)


def _view(one: Drill, last: DrillRecord | None) -> DrillView:
    expects = one.expects
    return DrillView(
        name=one.name,
        scenario=one.scenario,
        fault=one.fault,
        quick=one.quick,
        impossible=one.impossible(),
        ending=expects.ending,
        severity=expects.severity,
        detected_within=expects.detected_within,
        resolved_within=expects.resolved_within,
        last=last,
    )
