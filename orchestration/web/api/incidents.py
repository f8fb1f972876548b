"""Incidents: read them, and give every command that people may give.

The routes of commands are built from the table of commands: the command itself is the request body.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, create_model
from starlette.responses import PlainTextResponse

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.base import CommandField, IncidentCommand
from orchestration.incidents.commands.table import COMMANDS
from orchestration.incidents.escalation import missing_fields
from orchestration.incidents.folded_timeline import FoldedEntry, fold
from orchestration.incidents.model import Incident, ReviewField, person
from orchestration.incidents.ownership import ownership
from orchestration.incidents.review import clock_lines
from orchestration.security.principal import Role
from orchestration.storage.incidents.table import IncidentRow, TimerRow
from orchestration.storage.playbooks import PlaybookRecords
from orchestration.web.api.services import (
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
_AREA = "incidents"
_READ = requires(Role.VIEWER, _AREA)


class IncidentDetails(BaseModel):
    """One incident with its timeline, timers, targets and the missing parts of its review.

    Entries of the timeline that repeat each other are one entry with a `count`. `ownership` says who has the incident
    now, or what the playbook does and waits for.
    """

    incident: Incident
    timeline: Sequence[FoldedEntry]
    timers: Sequence[TimerRow]
    sla: Sequence[str]
    missing: Sequence[ReviewField]
    ownership: str


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
    """One incident, with its timeline and clocks. `incident` is an identifier, an end of one, or `latest`."""
    records = services.app.incident_service.records
    found = records.find(incident)
    entries = records.entries(found.id)
    response = PlaybookRecords(services.app.database).newest_run(found.id)
    questions = [one.question for one in services.app.approvals.list_open(found.id)]
    return IncidentDetails(
        incident=found,
        timeline=fold(entries),
        timers=records.table.list_timers(found.id),
        sla=clock_lines(found, records.settings(found), services.app.clock.now()),
        missing=missing_fields(found),
        ownership=ownership(found, entries, response, questions),
    )


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


def add_command(target: APIRouter, command: type[IncidentCommand]) -> None:
    """Add the route of one command, if people can give it through the API."""
    spec = command.spec
    if spec.api is None:
        return
    target.add_api_route(
        f"/incidents/{{incident}}/{spec.api.path}",
        _endpoint(command),
        methods=[spec.api.method],
        name=spec.api.operation,
        description=spec.summary,
        status_code=spec.api.status,
        dependencies=requires(spec.role, _AREA),
    )


def _endpoint(command: type[IncidentCommand]) -> Callable[..., Incident]:
    """A function that gives the command; its signature tells FastAPI what to read from path and body."""
    in_path = [field for field in command.fields() if field.input.in_path]
    in_body = [field for field in command.fields() if not field.input.in_path]

    def give(services: Services, caller: Caller, incident: Name, **values: Any) -> Incident:
        body = values.pop("body", None)
        sent = {field.name: getattr(body, field.name) for field in in_body}
        service = services.app.incident_service
        name = service.records.table.find_id(incident)
        return service.execute(name, person(caller.name), command(**sent, **values))

    parameters = {
        "services": Services,
        "caller": Caller,
        "incident": Name,
        **{field.name: field.annotation for field in in_path},
    }
    if in_body:
        parameters["body"] = _body(command, in_body) if in_path else command
    # FastAPI derives validation and documentation from the signature, so each route needs one of its own.
    give.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in parameters.items()],
        return_annotation=Incident,
    )
    return give


def _body(command: type[IncidentCommand], fields: Sequence[CommandField]) -> type[BaseModel]:
    """The fields that are not in the path, as a model of their own."""
    values: dict[str, Any] = {
        field.name: (field.annotation, ... if field.required else field.default) for field in fields
    }
    return create_model(command.__name__, __doc__=command.__doc__, **values)


for each in COMMANDS.values():
    add_command(router, each)
