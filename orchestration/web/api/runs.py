"""Runs and approvals: list and show runs; start, resume, cancel, pause and fork them; answer their questions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import anyio.to_thread
from fastapi import APIRouter, Header, Query
from fastapi import Path as PathParam
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import FileResponse, StreamingResponse

from orchestration.domain.run_spec import RunSpec
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.events import Event
from orchestration.events.runs import ArtifactRead
from orchestration.runs.commands.base import RunCommand
from orchestration.runs.commands.table import RUN_COMMANDS
from orchestration.runs.next_steps import NextStep, next_steps
from orchestration.runs.run_calls import CallDetails
from orchestration.runs.run_comparison import RunComparison
from orchestration.runs.run_time import RunTime, run_time
from orchestration.runs.waterfall import CallBar
from orchestration.security.principal import Principal, Role
from orchestration.storage.approvals import Approval
from orchestration.storage.artifacts import ArtifactRecord
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow
from orchestration.telemetry.span import caller_trace
from orchestration.web.api.command_routes import add_command, prepare_result
from orchestration.web.api.services import (
    ApiServices,
    Caller,
    Cursor,
    Limit,
    ListPage,
    Name,
    OptionalText,
    Seconds,
    Services,
    Text,
    page,
    requires,
)
from orchestration.web.approval_rights import area_of, check_answerable
from orchestration.web.run_progress import RunProgressReport
from orchestration.workflows.step_count import count_steps

router = APIRouter()
prepare_result(Run)
_AREA = "runs"
_GOAL = Annotated[str, StringConstraints(min_length=1, max_length=100_000, strip_whitespace=True)]
# Far more than the longest run has. It only bounds the memory that one request can take.
_MAX_EVENTS = 100_000
_VIEW = requires(Role.VIEWER, _AREA)
_OPERATE = requires(Role.OPERATOR, _AREA)


class NewRun(BaseModel):
    """A run to start. `checks` are commands, each as a list of arguments, that must succeed at the end of the run. In a
    git repository it works in a worktree, or `in_place`; without that, as configured."""

    goal: _GOAL
    workspace: Text
    agent: OptionalText | None = None
    provider: OptionalText | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    checks: list[list[Text]] = Field(default_factory=list, max_length=20)
    approve: list[Text] = Field(default_factory=list, max_length=50)
    seconds: Seconds | None = None
    tokens: Annotated[int, Field(ge=1, le=10**12)] | None = None
    usd: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None = None
    model: OptionalText | None = None
    in_place: bool | None = None


class ApprovalAnswer(BaseModel):
    """The answer to a pending approval."""

    approval: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    decision: Literal["approved", "denied"]
    reason: OptionalText = ""


class NumberedEvent(BaseModel):
    """An event with its number on the timeline."""

    id: int
    event: Event


class RunDetails(BaseModel):
    """A run with its agents, artifacts, pending approvals, and what can be done with it."""

    run: Run
    time: RunTime
    steps_executed: int
    committed_steps_repeated: int
    agents: Sequence[HeartbeatRow]
    artifacts: Sequence[ArtifactRecord]
    altered_artifacts: Sequence[dict[str, str]]
    questions: Sequence[Approval]
    next_steps: Sequence[NextStep]


class RunPart(BaseModel):
    """A part of a run from which it can be forked."""

    number: int
    part: str | None


@router.get("/runs", dependencies=_VIEW)
def list_runs(
    services: Services,
    status: Annotated[list[RunStatus] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ListPage[Run]:
    """List runs, newest first."""
    return page(services.app.runs.list(status or (), limit + 1, before=cursor), limit)  # type: ignore[return-value]


@router.post("/runs", status_code=201, dependencies=_OPERATE)
async def start_run(
    services: Services, principal: Caller, body: NewRun, traceparent: Annotated[str | None, Header()] = None
) -> Run:
    """Start a run. If there are workers, one of them carries it out. With a `traceparent` (W3C), its spans are in that
    trace."""
    values = body.model_dump() | {"workspace": Path(body.workspace)}
    arguments = RunSpec(**values).arguments()
    arguments["options"] |= caller_trace(traceparent)
    origin = f"api: {principal.name}"
    return await services.app.launcher.start(body.goal, Path(body.workspace), origin=origin, **arguments)


@router.get("/runs/{run}", dependencies=_VIEW)
def show_run(services: Services, run: Name) -> RunDetails:
    """Show a run with its progress, agents, artifacts and pending approvals. `run` is an identifier, a unique end of
    one, or `latest`."""
    app = services.app
    found = app.find_run(run)
    events = [event for _, event in app.timeline.list(found.id, limit=_MAX_EVENTS)]
    steps = count_steps(events)
    return RunDetails(
        run=found,
        time=run_time(found, events, app.clock.now()),
        steps_executed=steps.executed,
        committed_steps_repeated=steps.committed_repeated,
        agents=app.timeline.list_heartbeats(found.id),
        artifacts=app.artifacts.list(found.id),
        altered_artifacts=[{"name": name, "problem": problem} for name, problem in app.artifacts.verify(found.id)],
        questions=app.approvals.list_open(found.id),
        next_steps=next_steps(found, app.artifacts_of(found)),
    )


@router.get("/runs/{run}/progress", dependencies=_VIEW)
def show_progress(services: Services, run: Name) -> RunProgressReport:
    """Show what the agents of a run do now and for how long: tokens as they come, the prompt that is read, the place in
    a queue, the end of a tool's output; and the steps of its plan."""
    return services.progress.read(services.app.find_run(run).id)


@router.get("/runs/{run}/progress/stream", dependencies=_VIEW, response_class=StreamingResponse)
async def stream_progress(services: Services, run: Name) -> StreamingResponse:
    """Stream the same as server-sent events, `event: progress` with JSON in `data`, whenever something has changed, and
    at least every second while an agent is at work. The stream ends with the run."""
    found = await _find(services, run)
    # Keeps nginx from buffering the stream.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_progress_lines(services, found.id), media_type="text/event-stream", headers=headers)


async def _progress_lines(services: ApiServices, run_id: str) -> AsyncIterator[str]:
    # If the database fails, the stream ends, and `EventSource` reconnects.
    with contextlib.suppress(SQLAlchemyError):
        async for report in services.progress.follow(run_id):
            yield f"event: progress\ndata: {report.model_dump_json()}\n\n"


@router.get("/runs/{run}/events", dependencies=_VIEW)
def list_run_events(
    services: Services, run: Name, after: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Limit = 100
) -> list[NumberedEvent]:
    """List the events of a run in order, starting after the number `after`."""
    found = services.app.timeline.list(services.app.find_run(run).id, after=after, limit=limit)
    return [NumberedEvent(id=number, event=event) for number, event in found]


@router.get("/runs/{run}/calls", dependencies=_VIEW)
def list_calls(services: Services, run: Name) -> list[CallBar]:
    """List the calls of a run in the order in which they began: model calls, tool calls, checks."""
    return list(services.app.calls.list(services.app.find_run(run), services.app.clock.now()))


@router.get("/runs/{run}/compare/{other}", dependencies=_VIEW)
def compare_runs(services: Services, run: Name, other: Name) -> RunComparison:
    """Compare two runs, such as a run and its fork: settings, steps, results, time and cost side by side."""
    app = services.app
    return app.comparisons.compare(app.find_run(run), app.find_run(other), app.clock.now())


@router.get("/runs/{run}/calls/{call:path}", dependencies=_VIEW)
def show_call(services: Services, run: Name, call: Annotated[str, PathParam(max_length=255)]) -> CallDetails:
    """Show what was said in a call, without secrets: the whole prompt, the thinking and the answer of a model, or the
    arguments and the output of a tool. `call` is its `key`, or the part of it after the run's identifier."""
    found = services.app.find_run(run)
    return services.app.calls.read(found, call, services.app.clock.now(), whole=True)


@router.get("/runs/{run}/artifacts/{name:path}", dependencies=_VIEW, response_class=FileResponse)
def get_artifact(services: Services, principal: Caller, run: Name, name: str) -> FileResponse:
    """Download an artifact. An event records who has read it."""
    found = services.app.find_run(run)
    if name not in {record.name for record in services.app.artifacts.list(found.id)}:
        raise NotFoundError(f"Run {found.id} has no artifact of this name. `GET /runs/{{run}}` lists them.")
    # The name was found among the records, so it cannot contain `..` and lead out of the run's folder.
    path = services.app.artifacts.path(found.id, name)
    if not path.is_file():
        raise NotFoundError(f"The file of the artifact '{name}' is missing on disk.")
    services.app.bus.publish(ArtifactRead(name=name), run_id=found.id, actor=principal.name)
    # Always as a download and never with the type of the file: an HTML artifact must not run in this origin.
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)


@router.get("/runs/{run}/parts", dependencies=_VIEW)
async def list_parts(services: Services, run: Name) -> list[RunPart]:
    """List the parts of a run from which it can be forked."""
    found = await _find(services, run)
    return [RunPart(number=part.number, part=part.child_id) for part in await services.app.control.parts(found.id)]


@router.get("/approvals", dependencies=requires(Role.VIEWER, None))
def list_approvals(
    services: Services, principal: Caller, subject: Annotated[str | None, Query(max_length=64)] = None
) -> list[Approval]:
    """List pending approvals, oldest first; `subject` is a run or an incident. A token gets those of its areas."""
    found = services.app.approvals.list_open(subject)
    return [one for one in found if principal.may(Role.VIEWER, area_of(one.subject))]


@router.post("/approvals/decisions", dependencies=requires(Role.RESPONDER, None))
def decide(services: Services, principal: Caller, answer: ApprovalAnswer) -> Approval:
    """Answer a pending approval. It can be answered only once."""
    approval = services.app.approvals.get(answer.approval)
    check_answerable(principal, approval)
    services.app.answer(approval, approved=answer.decision == "approved", by=principal.name, reason=answer.reason)
    return services.app.approvals.get(approval.id)


async def _find(services: ApiServices, run: str) -> Run:
    return await anyio.to_thread.run_sync(partial(services.app.find_run, run))


async def _give(services: ApiServices, caller: Principal, run: str, command: RunCommand) -> Run:
    return await services.app.run_service.execute(run, command, by=caller.name)


for each in RUN_COMMANDS.values():
    add_command(router, "run", each, _give, Run)
