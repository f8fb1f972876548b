"""Every run that needs something: it is unfinished, has failed, was not approved, or is held by an incident's
response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import anyio.to_thread

from orchestration.app.application import Application
from orchestration.domain.run_status import RunStatus
from orchestration.errors import NotFoundError
from orchestration.runs.needs import RunNeed, need_of
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run

# Enough for any morning; the oldest failures of a long life are better looked up by `runs list`.
MAX_FAILED = 20
_FAILED = [RunStatus.FAILED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE]


@dataclass(frozen=True, slots=True)
class RunState:
    """A run with its open questions and what it needs."""

    run: Run
    need: RunNeed
    questions: Sequence[Approval] = ()


async def run_states(app: Application) -> list[RunState]:
    """The runs, oldest first: those that can go on by themselves, then those that need a person."""
    runs = await anyio.to_thread.run_sync(_runs, app)
    attended = {run.id: not run.status.ended and await app.placement.is_attended(run.id) for run in runs}
    states = await anyio.to_thread.run_sync(lambda: list(_states(app, runs, attended)))
    return sorted(states, key=lambda state: not state.need.continues)


def _runs(app: Application) -> list[Run]:
    failed = app.runs.list(_FAILED, MAX_FAILED)
    unfinished = app.runs.list([status for status in RunStatus if not status.ended], limit=1000)
    found = (*unfinished, *(run for run in failed if not _is_replaced(app, run)))
    return sorted(found, key=lambda run: (run.created_at, run.id))


def _is_replaced(app: Application, run: Run) -> bool:
    """Whether a fork of a failed run repeats what failed, and has not failed itself."""
    return any(fork.status not in _FAILED for fork in app.runs.list_forks(run))


def _states(app: Application, runs: Sequence[Run], attended: dict[str, bool]) -> Iterator[RunState]:
    isolated = app.configuration.runtime.isolated
    for run in runs:
        questions = app.approvals.list_open(run.id)
        need = need_of(
            run,
            questions,
            attended=attended[run.id],
            incident_open=run.held_by is not None and _is_open(app, run.held_by),
            isolated=isolated,
        )
        if need is not None:
            yield RunState(run, need, questions)


def _is_open(app: Application, incident: str) -> bool:
    try:
        return app.incident_service.records.get(incident).status.is_open
    except NotFoundError:  # retention has removed it
        return False
