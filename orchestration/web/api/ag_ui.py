"""`POST /api/v1/ag-ui`: a run for a front end that speaks AG-UI, as server-sent events.

The run goes on when the client is gone. The same request follows it again, from its beginning.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.responses import StreamingResponse

from orchestration.domain.run_spec import RunSpec
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.events import Event
from orchestration.events.runs import ApprovalRequested, ArtifactWritten, RunResumed
from orchestration.security.principal import Principal, Role
from orchestration.web.ag_ui.request import AgUiRequest, InterruptAnswer
from orchestration.web.ag_ui.translation import AgUiEvent, RunTranslation
from orchestration.web.api.runs import NewRun
from orchestration.web.api.services import ApiServices, Caller, Services, requires
from orchestration.web.approval_rights import check_answerable

router = APIRouter()
_MOST_EVENTS = 100_000


@router.post("/ag-ui", dependencies=requires(Role.OPERATOR, "runs"), response_class=StreamingResponse)
async def run_for_front_end(services: Services, principal: Caller, body: AgUiRequest) -> StreamingResponse:
    """Start a run, or answer what one waits for, and stream what happens in the events of AG-UI. The stream ends with
    the run, or with an interrupt when a person has to decide."""
    if body.resume:
        after = await anyio.to_thread.run_sync(services.app.timeline.last_sequence)
        run = await anyio.to_thread.run_sync(_answer, services, principal, body.resume)
    else:
        after, run = 0, await _started(services, principal, body)
    past = await anyio.to_thread.run_sync(_past, services, run, after)
    translation = RunTranslation(body.thread_id, body.run_id, run, past.documents)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    lines = _lines(services, translation, run, past)
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _started(services: ApiServices, principal: Principal, body: AgUiRequest) -> str:
    """The run of a request: the one that it has started before, or a new one."""
    app, name = services.app, body.run_name(principal.name)
    if await _exists(services, name):
        return name
    asked = _new_run(body, str(app.root))
    origin = f"ag-ui: {principal.name}"
    spec = RunSpec(**asked.model_dump() | {"workspace": Path(asked.workspace)})
    try:
        await app.launcher.start(spec.goal, spec.workspace, origin=origin, run_id=name, **spec.arguments())
    except (ConflictError, IntegrityError):
        # The same request came twice at once, and the other one was faster.
        if not await _exists(services, name):
            raise
    return name


async def _exists(services: ApiServices, run: str) -> bool:
    with contextlib.suppress(NotFoundError):
        return bool(await services.app.get_run(run))
    return False


def _new_run(body: AgUiRequest, workspace: str) -> NewRun:
    asked = {"workspace": workspace, **(body.forwarded_props or {}), "goal": body.goal()}
    try:
        return NewRun.model_validate(asked)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise UsageError(f"the run cannot be started with these forwardedProps: {found}") from error


def _answer(services: ApiServices, principal: Principal, answers: Sequence[InterruptAnswer]) -> str:
    """Answer the questions, and return the run that they are about. Nothing is answered if one cannot be."""
    found = [(services.app.approvals.get(one.interrupt_id), one, one.is_approval()) for one in answers]
    subjects = {approval.subject for approval, _, _ in found}
    if len(subjects) != 1 or not all(subject.startswith("run-") for subject in subjects):
        raise UsageError(f"the answers have to be about one run, got {', '.join(sorted(subjects))}")
    for approval, _, _ in found:
        check_answerable(principal, approval)
    for approval, one, approved in found:
        services.app.answer(approval, approved=approved, by=principal.name, reason=one.reason())
    return subjects.pop()


@dataclass(frozen=True, slots=True)
class _Past:
    """What has happened in the last attempt of a run behind a number, the documents that it had written before, and the
    number of its last event. A question that was answered is left out; one that still waits is there, however old."""

    events: Sequence[Event]
    documents: Sequence[str]
    last: int


async def _lines(services: ApiServices, translation: RunTranslation, run: str, past: _Past) -> AsyncIterator[str]:
    yield _encode(translation.begin())
    for event in past.events:
        yield _encode(translation.translate(event))
    with contextlib.suppress(SQLAlchemyError):
        async with contextlib.aclosing(services.feed.subscribe(past.last)) as batches:
            while not translation.ended:
                batch = await anext(batches, None)
                if batch is None:
                    break
                found = [event for _, event in batch if event.run_id == run]
                yield "".join(_encode(translation.translate(event)) for event in found) or ": keep-alive\n\n"
    if not translation.ended:
        yield _encode(translation.lose())


def _past(services: ApiServices, run: str, after: int) -> _Past:
    numbered = services.app.timeline.list(run, limit=_MOST_EVENTS)
    resumed = [place for place, (_, event) in enumerate(numbered) if isinstance(event.payload, RunResumed)]
    open_questions = {one.id for one in services.app.approvals.list_open(run)}
    found, documents = [], []
    for number, event in numbered[resumed[-1] :] if resumed else numbered:
        asked = event.payload.approval if isinstance(event.payload, ApprovalRequested) else None
        if asked in open_questions or (asked is None and number > after):
            found.append(event)
        elif isinstance(event.payload, ArtifactWritten):
            documents.append(event.payload.name)
    return _Past(found, documents, numbered[-1][0] if numbered else after)


def _encode(events: Iterable[AgUiEvent]) -> str:
    return "".join(_line(event) for event in events)


def _line(event: AgUiEvent) -> str:
    return f"data: {json.dumps(event, default=str)}\n\n"
