"""Incidents: read them, and give every command that people may give.

The routes of commands are built from the table of commands: the command itself is the request body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from orchestration.app.action_undo import UndoneAction, undo_action
from orchestration.app.incident_options import OfferedOption, offered_options
from orchestration.app.tickets import Ticket, tickets_of
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.brief import BriefingLine, briefing
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.folded_timeline import FoldedEntry, fold
from orchestration.incidents.model import Incident, ReviewField, person
from orchestration.incidents.ownership import ownership
from orchestration.incidents.review import clock_lines
from orchestration.security.principal import Principal, Role
from orchestration.storage.incidents.table import IncidentRow, TimerRow
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.web.api.command_routes import add_command, add_opening_command, prepare_result
from orchestration.web.api.services import (
    ApiServices,
    Caller,
    Cursor,
    Limit,
    ListPage,
    Moment,
    Name,
    Services,
    page,
    requires,
)

router = APIRouter()
prepare_result(Incident)
_AREA = "incidents"
_READ = requires(Role.VIEWER, _AREA)


class IncidentDetails(BaseModel):
    """One incident with its timeline, timers, targets and the missing parts of its review.

    Entries of the timeline that repeat each other are one entry with a `count`. `ownership` says who has the incident
    now, or what the playbook does and waits for. `briefing` is what a person needs to know first, in the order in which
    the console and the page show it, and `options` what the playbook can try. `tickets` are those that
    were made for it and its action items.
    """

    incident: Incident
    timeline: Sequence[FoldedEntry]
    timers: Sequence[TimerRow]
    sla: Sequence[str]
    missing: Sequence[ReviewField]
    ownership: str
    briefing: Sequence[BriefingLine] = ()
    options: Sequence[OfferedOption] = ()
    tickets: Sequence[Ticket] = ()


class UndoRequest(BaseModel):
    """The step of the playbook whose action is undone, or the key of the action."""

    step: Annotated[str, Field(min_length=1, max_length=200)]


@router.get("/incidents", dependencies=_READ)
def list_incidents(
    services: Services,
    status: Annotated[list[IncidentStatus] | None, Query()] = None,
    severity: Annotated[list[Severity] | None, Query()] = None,
    scenario: Scenario | None = None,
    is_open: Annotated[bool | None, Query(alias="open")] = None,
    since: Moment | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[IncidentRow]:
    """The newest incidents first."""
    found = services.app.incident_service.records.table.list(
        statuses=[one.value for one in status or ()],
        severities=severity or (),
        scenario=scenario,
        is_open=is_open,
        since=since,
        before=cursor,
        limit=limit + 1,
    )
    return page(found, limit)  # type: ignore[return-value]


@router.get("/incidents/{incident}", dependencies=_READ)
def show_incident(services: Services, incident: Name) -> IncidentDetails:
    """One incident, with its timeline and clocks. `incident` is an identifier, a unique end of one, or `latest`."""
    records = services.app.incident_service.records
    found = records.find(incident)
    entries = records.entries(found.id)
    response = PlaybookRecords(services.app.database).newest_run(found.id)
    questions = [one.question for one in services.app.approvals.list_open(found.id)]
    now = services.app.clock.now()
    return IncidentDetails(
        incident=found,
        timeline=fold(entries),
        timers=records.table.list_timers(found.id),
        sla=clock_lines(found, records.settings(found), now),
        missing=missing_fields(found),
        ownership=ownership(found, entries, response, questions),
        briefing=tuple(briefing(found, entries).lines(now)),
        options=offered_options(services.app, found, response),
        tickets=tickets_of(services.app, found.id),
    )


@router.post("/incidents/{incident}/undo", dependencies=requires(Role.RESPONDER, _AREA))
async def undo(services: Services, caller: Caller, incident: Name, body: UndoRequest) -> UndoneAction:
    """Undo what a playbook has done for an incident: the newest action of a step that can be undone."""
    return await undo_action(services.app, incident, body.step, caller.name)


@router.get("/incidents/{incident}/review", dependencies=_READ, response_class=PlainTextResponse)
def show_review(services: Services, incident: Name) -> PlainTextResponse:
    """The review so far, as Markdown."""
    text = services.app.reviews.markdown(services.app.incident_service.records.find(incident))
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/incidents/{incident}/review/suggestions", dependencies=_READ)
def suggest_review(services: Services, incident: Name) -> dict[ReviewField, str]:
    """What the records say now for each part of the review, also for those that a person has written."""
    return services.app.reviews.suggestions(services.app.incident_service.records.find(incident))


@router.get("/action-items", dependencies=_READ)
def list_open_actions(services: Services) -> list[dict[str, Any]]:
    """The open action items of all incidents."""
    return [
        {"incident": each.id, "number": item.number, "text": item.text, "owner": item.owner, "due": item.due}
        for each in services.app.incident_service.records.with_open_actions()
        for item in each.actions
        if item.done_at is None
    ]


async def _give(services: ApiServices, caller: Principal, incident: str, command: IncidentCommand) -> Incident:
    def execute() -> Incident:
        service = services.app.incident_service
        return service.execute(service.records.table.find_id(incident), person(caller.name), command)

    return await anyio.to_thread.run_sync(execute)


async def _declare(services: ApiServices, caller: Principal, command: OpeningCommand) -> Incident:
    return await anyio.to_thread.run_sync(services.app.incident_service.declare, caller.name, command)


for each in COMMANDS.values():
    add_command(router, "incident", each, _give, Incident)
for opening in OPENING_COMMANDS.values():
    add_opening_command(router, _AREA, opening, _declare, Incident)
