"""Playbooks: what they say, what they have done, and the guards that hold actions back."""

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
from orchestration.web.api.services import Here, Limit, Name, Who, needs

router = APIRouter()
_AREA = "playbooks"
_LOOK = needs(Role.VIEWER, _AREA)
_Some = Annotated[str | None, Query(max_length=64)]


class PlaybookLine(BaseModel):
    """A playbook in the list; `own` says that it is the user's, and not the shipped one."""

    name: str
    title: str
    scenario: Scenario
    version: int
    about: str
    file: str
    own: bool


class PlaybookList(BaseModel):
    """All playbooks, and what is wrong with those that cannot be used."""

    items: Sequence[PlaybookLine]
    mistakes: Sequence[str]


class DryRun(BaseModel):
    """The incident to foresee it for; without one, it is for all that there is."""

    incident: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None


class Trips(BaseModel):
    """How many trips of a guard were ended."""

    reset: int


@router.get("/playbooks", dependencies=_LOOK)
def list_playbooks(here: Here) -> PlaybookList:
    """The playbooks as they are now."""
    catalogue = here.control.playbooks.catalogue()
    lines = [
        PlaybookLine(
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


@router.get("/playbooks/{playbook}", dependencies=_LOOK)
def show_playbook(here: Here, playbook: Name) -> dict[str, Any]:
    """One playbook, as its document."""
    found: Playbook = here.control.playbooks.catalogue().get(playbook).playbook
    return found.model_dump(mode="json", by_alias=True, exclude_defaults=True)


@router.get("/playbooks/{playbook}/runbook", dependencies=_LOOK, response_class=PlainTextResponse)
def show_runbook(here: Here, playbook: Name) -> PlainTextResponse:
    """The same for people to do by hand, as Markdown."""
    text = runbook(here.control.playbooks.catalogue().get(playbook).playbook)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.get("/playbooks/{playbook}/cacao", dependencies=_LOOK)
def export_playbook(here: Here, playbook: Name) -> dict[str, Any]:
    """The same in the CACAO format, for other tools."""
    return cacao.export(here.control.playbooks.catalogue().get(playbook).playbook, here.app.clock.now())


@router.post("/playbooks/{playbook}/dry-run", dependencies=needs(Role.RESPONDER, _AREA))
async def dry_run(here: Here, playbook: Name, asked: DryRun) -> PlaybookPlan:
    """What a playbook would do now, exactly, with nothing done. Only steps that look are carried out."""
    return await preview(here.app, playbook, asked.incident)


@router.get("/playbook-runs", dependencies=_LOOK)
def list_playbook_runs(
    here: Here, incident: _Some = None, playbook: _Some = None, limit: Limit = 50
) -> list[PlaybookRun]:
    """What playbooks did, the newest first."""
    return list(here.control.playbooks.records.list_runs(incident_id=incident, playbook=playbook, limit=limit))


@router.get("/playbook-runs/{run}/actions", dependencies=_LOOK)
def list_actions(here: Here, run: Name) -> list[ActionRun]:
    """The actions of one run of a playbook, in their order."""
    return list(here.control.playbooks.records.list_actions(run_id=run))


@router.get("/guards", dependencies=_LOOK)
def list_guards(here: Here) -> list[GuardTrip]:
    """The guards that are tripped now: these actions are not done by the machine."""
    return list(here.control.playbooks.records.list_trips())


@router.post("/guards/{action}/reset", dependencies=needs(Role.OPERATOR, _AREA))
def reset_guard(here: Here, who: Who, action: Name) -> Trips:
    """A person's word that an action may run by itself again."""
    count = here.control.playbooks.records.reset_trips(action, who.name, here.app.clock.now())
    here.app.bus.publish(GuardReset(action=action, count=count), actor=who.name)
    return Trips(reset=count)
