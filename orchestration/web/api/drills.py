"""Drills: what there is, what is held now, how it went; begin some, and stop them."""

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
from orchestration.drills.model import Drill, DrillOutcome
from orchestration.security.principal import Role
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.web.api.services import Here, Limit, Text, Who, Words, needs

router = APIRouter()
_AREA = "drills"
_LOOK = needs(Role.VIEWER, _AREA)
_ACT = needs(Role.OPERATOR, _AREA)


class DrillView(BaseModel):
    """A drill and what is expected of it, times in seconds after the fault. `impossible` says why it cannot be held on
    this machine; `last` is its last result."""

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
    """Drills by name, or scenarios, which stand for all of theirs; the results are kept under the name of a game day
    where there is one."""

    drills: Annotated[list[Text], Field(min_length=1, max_length=100)]
    game_day: Annotated[Words, Field(max_length=100)] = ""


@router.get("/drills", dependencies=_LOOK)
def list_drills(here: Here) -> list[DrillView]:
    """Every drill there is."""
    history = DrillHistory(here.app.database)
    return [_line(one, next(iter(history.list(one.name, 1)), None)) for one in catalogue.ALL]


@router.post("/drills", status_code=202, dependencies=_ACT)
async def begin_drills(here: Here, who: Who, asked: NewDrills) -> DrillSession:
    """Begin to hold drills, one set at a time: each in a project and a database of its own, so that nothing of this one
    is touched and no figure counts it."""
    return await DrillSessions(here.app).begin(asked.drills, who.name, here.app.redactor.text(asked.game_day))


@router.get("/drills/under-way", dependencies=_LOOK)
def show_drills_under_way(here: Here) -> DrillSession | None:
    """The drills that are held now, and how far they are; null when there are none."""
    return DrillSessions(here.app).under_way()


@router.delete("/drills/under-way", status_code=202, dependencies=_ACT)
async def stop_drills(here: Here, who: Who) -> DrillSession:
    """Have the drills that are held now end, and clear away what they made."""
    return await anyio.to_thread.run_sync(DrillSessions(here.app).stop, who.name)


@router.get("/drill-results", dependencies=_LOOK)
def list_drill_results(
    here: Here, drill: Annotated[str | None, Query(max_length=64)] = None, limit: Limit = 50
) -> Sequence[DrillRecord]:
    """How drills went, the newest first."""
    return DrillHistory(here.app.database).list(drill, limit)


def _line(one: Drill, last: DrillRecord | None) -> DrillView:
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
