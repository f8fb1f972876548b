"""Playbooks, their runs and actions, and tripped guards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import PlainTextResponse

from orchestration.app.dry_run import preview
from orchestration.domain.scenario import Scenario
from orchestration.events.playbooks import GuardReset
from orchestration.playbooks import cacao
from orchestration.playbooks.model import Playbook
from orchestration.playbooks.plan import PlaybookPlan
from orchestration.playbooks.runbook import runbook
from orchestration.security.principal import Role
from orchestration.storage.playbooks import ActionRun, GuardTrip, PlaybookRun
from orchestration.web.api.services import Caller, Limit, Name, Services, requires

router = APIRouter()
_AREA = "playbooks"
_VIEW = requires(Role.VIEWER, _AREA)
_Some = Annotated[str | None, Query(max_length=64)]


class PlaybookView(BaseModel):
    """A playbook. `own` is true for a custom playbook, and false for a built-in one."""

    name: str
    title: str
    scenario: Scenario
    version: int
    about: str
    file: str
    own: bool


class PlaybookList(BaseModel):
    """All playbooks, and the errors in those that cannot be used."""

    items: Sequence[PlaybookView]
    mistakes: Sequence[str]


class DryRunRequest(BaseModel):
    """The incident to plan for; without one, the plan is for the current state of the system."""

    incident: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None


class ResetGuards(BaseModel):
    """The number of guards that were reset."""

    reset: int


@router.get("/playbooks", dependencies=_VIEW)
def list_playbooks(services: Services) -> PlaybookList:
    """List the playbooks as they are on disk."""
    catalogue = services.control.playbooks.catalogue()
    lines = [
        PlaybookView(
            name=one.playbook.name,
            title=one.playbook.title,
            scenario=one.playbook.scenario,
            version=one.playbook.version,
            about=one.playbook.about,
            file=one.file,
            own=one.own,
        )
        for one in catalogue.all()
    ]
    return PlaybookList(items=lines, mistakes=[str(mistake) for mistake in catalogue.mistakes])


@router.get("/playbooks/{playbook}", dependencies=_VIEW)
def show_playbook(services: Services, playbook: Name) -> dict[str, Any]:
    """Show one playbook as a document."""
    found: Playbook = services.control.playbooks.catalogue().get(playbook).playbook
    return found.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@router.get("/playbooks/{playbook}/runbook", dependencies=_VIEW, response_class=PlainTextResponse)
def show_runbook(services: Services, playbook: Name) -> PlainTextResponse:
    """Show a playbook as a runbook for people, in Markdown."""
    text = runbook(services.control.playbooks.catalogue().get(playbook).playbook)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/playbooks/{playbook}/cacao", dependencies=_VIEW)
def export_playbook(services: Services, playbook: Name) -> dict[str, Any]:
    """Export a playbook in the CACAO format, for other tools."""
    return cacao.export(services.control.playbooks.catalogue().get(playbook).playbook, services.app.clock.now())


@router.post("/playbooks/{playbook}/dry-run", dependencies=requires(Role.RESPONDER, _AREA))
async def dry_run(services: Services, playbook: Name, body: DryRunRequest) -> PlaybookPlan:
    """Show what a playbook would do now. Only its read-only steps are carried out; nothing is changed."""
    return await preview(services.app, playbook, body.incident)


@router.get("/playbook-runs", dependencies=_VIEW)
def list_playbook_runs(
    services: Services, incident: _Some = None, playbook: _Some = None, limit: Limit = 50
) -> list[PlaybookRun]:
    """List the runs of playbooks, newest first."""
    return list(services.control.playbooks.records.list_runs(incident_id=incident, playbook=playbook, limit=limit))


@router.get("/playbook-runs/{run}/actions", dependencies=_VIEW)
def list_actions(services: Services, run: Name) -> list[ActionRun]:
    """List the actions of one playbook run in order."""
    return list(services.control.playbooks.records.list_actions(run_id=run))


@router.get("/guards", dependencies=_VIEW)
def list_guards(services: Services) -> list[GuardTrip]:
    """List the tripped guards. Their actions need approval until the guard is reset."""
    return list(services.control.playbooks.records.list_trips())


@router.post("/guards/{action}/reset", dependencies=requires(Role.OPERATOR, _AREA))
def reset_guard(services: Services, principal: Caller, action: Name) -> ResetGuards:
    """Reset the guards of an action, so that it may run without approval again."""
    count = services.control.playbooks.records.reset_trips(action, principal.name, services.app.clock.now())
    services.app.bus.publish(GuardReset(action=action, count=count), actor=principal.name)
    return ResetGuards(reset=count)
