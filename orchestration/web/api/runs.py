"""Runs: list, show, start, resume, cancel, fork, and the questions that they ask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import FileResponse

from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, NotFoundError
from orchestration.events import Event
from orchestration.events.runs import ArtifactRead
from orchestration.security.principal import Principal, Role
from orchestration.storage.approvals import Approval
from orchestration.storage.artifacts import ArtifactRecord
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow
from orchestration.web.api.services import (
    ApiServices,
    Cursor,
    Here,
    Limit,
    ListPage,
    Name,
    Seconds,
    Text,
    Who,
    Words,
    needs,
    page,
)
from orchestration.web.problems import NotAllowedError
from orchestration.workflows.step_count import count_steps

router = APIRouter()
_AREA = "runs"
_GOAL = Annotated[str, StringConstraints(min_length=1, max_length=100_000, strip_whitespace=True)]
_MOST_EVENTS = 100_000
_LOOK = needs(Role.VIEWER, _AREA)
_STEER = needs(Role.OPERATOR, _AREA)


class NewRun(BaseModel):
    """What is asked for. `checks` are commands, as words, that have to pass at the end."""

    goal: _GOAL
    workspace: Text
    agent: Words | None = None
    provider: Words | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    checks: list[list[Text]] = Field(default_factory=list, max_length=20)
    approve: list[Text] = Field(default_factory=list, max_length=50)
    seconds: Seconds | None = None


class ReasonBody(BaseModel):
    """Why."""

    reason: Words = ""


class ForkAt(BaseModel):
    """The part to begin with; the last where there is none."""

    number: Annotated[int, Field(ge=0, le=1_000_000)] | None = None


class ApprovalAnswer(BaseModel):
    """A person's answer to a question."""

    approval: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    decision: Literal["approved", "denied"]
    reason: Words = ""


class NumberedEvent(BaseModel):
    """An event with its number on the timeline."""

    id: int
    event: Event


class RunDetails(BaseModel):
    """One run with what belongs to it."""

    run: Run
    steps_executed: int
    committed_steps_repeated: int
    agents: Sequence[HeartbeatRow]
    artifacts: Sequence[ArtifactRecord]
    altered_artifacts: Sequence[dict[str, str]]
    questions: Sequence[Approval]


class RunPart(BaseModel):
    """A place at which a run can be forked."""

    number: int
    part: str | None


@router.get("/runs", dependencies=_LOOK)
def list_runs(
    here: Here, status: Annotated[list[RunStatus] | None, Query()] = None, limit: Limit = 50, cursor: Cursor = None
) -> ListPage[Run]:
    """The newest runs first."""
    return page(here.app.runs.list(status or (), limit + 1, before=cursor), limit)  # type: ignore[return-value]


@router.post("/runs", status_code=201, dependencies=_STEER)
async def start_run(here: Here, who: Who, asked: NewRun) -> Run:
    """Begin a run; the workers take it where there are any."""
    options: dict[str, Any] = {"checks": asked.checks, "approve": asked.approve}
    if asked.seconds is not None:
        options["seconds"] = asked.seconds
    return await here.app.launcher.start(
        asked.goal,
        Path(asked.workspace),
        agent=asked.agent,
        provider=asked.provider,
        priority=asked.priority,
        options=options,
        origin=f"api: {who.name}",
    )


@router.get("/runs/{run}", dependencies=_LOOK)
def show_run(here: Here, run: Name) -> RunDetails:
    """One run: how far it is, what its agents do, what it wrote. `run` is an identifier, an end of one, or `latest`."""
    app = here.app
    found = app.find_run(run)
    steps = count_steps([event for _, event in app.timeline.list(found.id, limit=_MOST_EVENTS)])
    return RunDetails(
        run=found,
        steps_executed=steps.executed,
        committed_steps_repeated=steps.committed_repeated,
        agents=app.timeline.list_heartbeats(found.id),
        artifacts=app.artifacts.list(found.id),
        altered_artifacts=[{"name": name, "problem": problem} for name, problem in app.artifacts.verify(found.id)],
        questions=app.approvals.list_open(found.id),
    )


@router.get("/runs/{run}/events", dependencies=_LOOK)
def list_run_events(
    here: Here, run: Name, after: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Limit = 100
) -> list[NumberedEvent]:
    """A run's events in their order, those behind the number `after`."""
    found = here.app.timeline.list(here.app.find_run(run).id, after=after, limit=limit)
    return [NumberedEvent(id=number, event=event) for number, event in found]


@router.get("/runs/{run}/artifacts/{name:path}", dependencies=_LOOK, response_class=FileResponse)
def get_artifact(here: Here, who: Who, run: Name, name: str) -> FileResponse:
    """The content of an artifact, for saving. An event says who has read it."""
    found = here.app.find_run(run)
    if name not in {record.name for record in here.app.artifacts.list(found.id)}:
        raise NotFoundError(f"expected an artifact of {found.id}, got another name; `GET /runs/{{run}}` lists them")
    path = here.app.artifacts.path(found.id, name)
    if not path.is_file():
        raise NotFoundError(f"expected the artifact on the disk, got none: '{name}' is gone")
    here.app.bus.publish(ArtifactRead(name=name), run_id=found.id, actor=who.name)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.get("/runs/{run}/parts", dependencies=_LOOK)
async def list_parts(here: Here, run: Name) -> list[RunPart]:
    """The places at which a run can be forked."""
    found = await _found(here, run)
    return [RunPart(number=part.number, part=part.child_id) for part in await here.app.control.parts(found.id)]


@router.post("/runs/{run}/resume", dependencies=_STEER)
async def resume_run(here: Here, run: Name) -> Run:
    """Go on with a run from its last committed steps."""
    return await here.app.launcher.resume((await _found(here, run)).id, queue=None)


@router.post("/runs/{run}/cancel", dependencies=_STEER)
async def cancel_run(here: Here, run: Name, why: ReasonBody) -> Run:
    """Stop a run, running tools too. It can be resumed."""
    found = await _found(here, run)
    await here.app.control.cancel(found.id, here.app.redactor.text(why.reason))
    return await here.app.get_run(found.id)


@router.post("/runs/{run}/pause", dependencies=_STEER)
async def pause_run(here: Here, run: Name, why: ReasonBody) -> Run:
    """Stop a run, and leave it unfinished."""
    found = await _found(here, run)
    await here.app.control.pause(found.id, here.app.redactor.text(why.reason))
    return await here.app.get_run(found.id)


@router.post("/runs/{run}/fork", status_code=201, dependencies=_STEER)
async def fork_run(here: Here, run: Name, at: ForkAt) -> Run:
    """Begin a new run that shares what came before a part of this one."""
    return await here.app.launcher.fork((await _found(here, run)).id, at.number, queue=None)


@router.get("/approvals", dependencies=needs(Role.VIEWER, "runs"))
def list_approvals(here: Here, subject: Annotated[str | None, Query(max_length=64)] = None) -> list[Approval]:
    """The questions that wait for an answer, oldest first; `subject` is a run or an incident."""
    return list(here.app.approvals.list_open(subject))


@router.post("/approvals/decisions", dependencies=needs(Role.RESPONDER, "runs"))
def decide(here: Here, who: Who, answer: ApprovalAnswer) -> Approval:
    """Answer a question, once."""
    approval = here.app.approvals.get(answer.approval)
    _check_may_answer(who, approval)
    if approval.decision is not None:
        raise ConflictError(f"expected an open question, got one that {approval.decided_by} has {approval.decision}")
    here.app.answer(approval, approved=answer.decision == "approved", by=who.name, reason=answer.reason)
    return here.app.approvals.get(approval.id)


def _check_may_answer(who: Principal, approval: Approval) -> None:
    """A run asks those who may steer runs, unless it says whom. Raises NotAllowedError."""
    try:
        needed = Role(approval.role) if approval.role else Role.OPERATOR
    except ValueError:
        needed = Role.ADMIN
    if not who.role.includes(needed):
        raise NotAllowedError(f"expected the role {needed.value} to answer this, got {who.name} ({who.role.value})")


async def _found(here: ApiServices, run: str) -> Run:
    return await anyio.to_thread.run_sync(partial(here.app.find_run, run))
