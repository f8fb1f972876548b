"""Incidents: everything that people do with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.model import Incident, ReviewField, TimelineEntry, person
from orchestration.incidents.review import clock_lines, draft
from orchestration.security.principal import Role
from orchestration.storage.incidents.table import IncidentRow, TimerRow
from orchestration.web.api.services import (
    ApiServices,
    Cursor,
    Here,
    Limit,
    ListPage,
    Moment,
    Name,
    Text,
    Who,
    Words,
    needs,
    page,
)

router = APIRouter()
_AREA = "incidents"
_LOOK = needs(Role.VIEWER, _AREA)
_RESPOND = needs(Role.RESPONDER, _AREA)
_Number = Annotated[int, Path(ge=1, le=100_000)]


class Note(BaseModel):
    """Something for the timeline."""

    text: Text


class ReasonedChange(BaseModel):
    """The reason, kept on the timeline."""

    reason: Text


class Assignment(BaseModel):
    """Into whose hands."""

    contact: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class Impact(BaseModel):
    """Whom it hurts, and since when."""

    text: Text
    started_at: Moment | None = None


class Estimate(BaseModel):
    """When it will be resolved; null takes an estimate back."""

    eta: Moment | None


class NewSeverity(BaseModel):
    """How bad it is, and why that is so."""

    severity: Severity
    reason: Text


class Escalation(BaseModel):
    """Which level is told now, and why."""

    level: Annotated[int, Field(ge=1, le=4)]
    reason: Text


class Resolution(BaseModel):
    """What ended it, and why it had happened where that is known."""

    resolution: Text
    root_cause: Words = ""


class MergeInto(BaseModel):
    """The incident that goes on for both."""

    into: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class NewAction(BaseModel):
    """Something to be done, by whom and by when."""

    text: Text
    owner: Text
    due: date


class IncidentDetails(BaseModel):
    """One incident with what belongs to it."""

    incident: Incident
    timeline: Sequence[TimelineEntry]
    timers: Sequence[TimerRow]
    sla: Sequence[str]
    missing: Sequence[ReviewField]


@router.get("/incidents", dependencies=_LOOK)
def list_incidents(
    here: Here,
    status: Annotated[list[IncidentStatus] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    scenario: Scenario | None = None,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    since: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[IncidentRow]:
    """The newest incidents first."""
    found = here.app.incident_service.records.table.list(
        statuses=[one.value for one in status or ()],
        severities=severity or (),
        scenario=scenario,
        is_open=is_open,
        since=since,
        before=cursor,
        limit=limit + 1,
    )
    return page(found, limit)  # type: ignore[return-value]


@router.get("/incidents/{incident}", dependencies=_LOOK)
def show_incident(here: Here, incident: Name) -> IncidentDetails:
    """One incident, with its timeline and clocks. `incident` is an identifier, an end of one, or `latest`."""
    records = here.app.incident_service.records
    found = records.find(incident)
    return IncidentDetails(
        incident=found,
        timeline=records.entries(found.id),
        timers=records.table.list_timers(found.id),
        sla=clock_lines(found, records.settings(found), here.app.clock.now()),
        missing=missing_fields(found),
    )


@router.get("/incidents/{incident}/review", dependencies=_LOOK, response_class=PlainTextResponse)
def show_review(here: Here, incident: Name) -> PlainTextResponse:
    """The review as it stands, as Markdown."""
    records = here.app.incident_service.records
    found = records.find(incident)
    text = draft(found, records.entries(found.id), records.settings(found), here.app.clock.now())
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.post("/incidents/{incident}/acknowledge", dependencies=_RESPOND)
def acknowledge(here: Here, who: Who, incident: Name) -> Incident:
    """Take it: paging stops at once."""
    return here.app.incident_service.acknowledge(_id(here, incident), person(who.name))


@router.post("/incidents/{incident}/notes", dependencies=_RESPOND)
def note(here: Here, who: Who, incident: Name, asked: Note) -> Incident:
    """Write on the timeline."""
    return here.app.incident_service.note(_id(here, incident), person(who.name), asked.text)


@router.post("/incidents/{incident}/assign", dependencies=_RESPOND)
def assign(here: Here, who: Who, incident: Name, asked: Assignment) -> Incident:
    """Put it into somebody's hands."""
    return here.app.incident_service.assign(_id(here, incident), person(who.name), asked.contact)


@router.post("/incidents/{incident}/impact", dependencies=_RESPOND)
def set_impact(here: Here, who: Who, incident: Name, asked: Impact) -> Incident:
    """Say whom it hurts and how."""
    return here.app.incident_service.set_impact(_id(here, incident), person(who.name), asked.text, asked.started_at)


@router.post("/incidents/{incident}/estimate", dependencies=_RESPOND)
def set_estimate(here: Here, who: Who, incident: Name, asked: Estimate) -> Incident:
    """Say when it will be resolved."""
    return here.app.incident_service.set_eta(_id(here, incident), person(who.name), asked.eta)


@router.post("/incidents/{incident}/severity", dependencies=_RESPOND)
def set_severity(here: Here, who: Who, incident: Name, asked: NewSeverity) -> Incident:
    """Change how bad it is, for better or worse."""
    service, found = here.app.incident_service, here.app.incident_service.records.find(incident)
    act = service.raise_severity if asked.severity.worse_than(found.severity) else service.lower_severity
    return act(found.id, person(who.name), asked.severity, asked.reason)


@router.post("/incidents/{incident}/escalate", dependencies=_RESPOND)
def escalate(here: Here, who: Who, incident: Name, asked: Escalation) -> Incident:
    """Tell a level now."""
    return here.app.incident_service.escalate(_id(here, incident), person(who.name), asked.level, asked.reason)


@router.post("/incidents/{incident}/mitigate", dependencies=_RESPOND)
def mitigate(here: Here, who: Who, incident: Name, asked: Note) -> Incident:
    """Say what is being tried."""
    return here.app.incident_service.begin_mitigation(_id(here, incident), person(who.name), asked.text)


@router.post("/incidents/{incident}/resolve", dependencies=_RESPOND)
def resolve(here: Here, who: Who, incident: Name, asked: Resolution) -> Incident:
    """It is over: everybody who was told is told so."""
    return here.app.incident_service.resolve(_id(here, incident), person(who.name), asked.resolution, asked.root_cause)


@router.post("/incidents/{incident}/reopen", dependencies=_RESPOND)
def reopen(here: Here, who: Who, incident: Name, asked: ReasonedChange) -> Incident:
    """It is back."""
    return here.app.incident_service.reopen(_id(here, incident), person(who.name), asked.reason)


@router.post("/incidents/{incident}/cancel", dependencies=_RESPOND)
def cancel(here: Here, who: Who, incident: Name, asked: ReasonedChange) -> Incident:
    """It was a false alarm."""
    return here.app.incident_service.cancel(_id(here, incident), person(who.name), asked.reason)


@router.post("/incidents/{incident}/merge", dependencies=_RESPOND)
def merge(here: Here, who: Who, incident: Name, asked: MergeInto) -> Incident:
    """It is the same trouble as another incident, which is returned."""
    return here.app.incident_service.merge(_id(here, incident), person(who.name), _id(here, asked.into))


@router.post("/incidents/{incident}/close", dependencies=_RESPOND)
def close(here: Here, who: Who, incident: Name) -> Incident:
    """The review is complete."""
    return here.app.incident_service.close(_id(here, incident), person(who.name))


@router.put("/incidents/{incident}/review/{field}", dependencies=_RESPOND)
def write_review(here: Here, who: Who, incident: Name, field: ReviewField, asked: Note) -> Incident:
    """Write a part of the review."""
    return here.app.incident_service.complete_review_field(_id(here, incident), person(who.name), field, asked.text)


@router.post("/incidents/{incident}/actions", status_code=201, dependencies=_RESPOND)
def add_action(here: Here, who: Who, incident: Name, asked: NewAction) -> Incident:
    """Something to be done so that it does not happen again."""
    return here.app.incident_service.add_action(
        _id(here, incident), person(who.name), asked.text, asked.owner, asked.due
    )


@router.post("/incidents/{incident}/actions/{number}/done", dependencies=_RESPOND)
def finish_action(here: Here, who: Who, incident: Name, number: _Number) -> Incident:
    """An action item is done."""
    return here.app.incident_service.finish_action(_id(here, incident), person(who.name), number)


@router.get("/action-items", dependencies=_LOOK)
def list_open_actions(here: Here) -> list[dict[str, Any]]:
    """The action items that are still to be done, of all incidents."""
    return [
        {"incident": each.id, "number": item.number, "text": item.text, "owner": item.owner, "due": item.due}
        for each in here.app.incident_service.records.with_open_actions()
        for item in each.actions
        if item.done_at is None
    ]


def _id(here: ApiServices, incident: str) -> str:
    return here.app.incident_service.records.table.find_id(incident)
