"""Restarting an agent: going on with the run in which its step has failed, was left, or makes no progress."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread

from orchestration.app.application import Application
from orchestration.app.run_states import RunState, run_states
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.monitoring.collectors.progress import KINDS as PROGRESS_KINDS
from orchestration.monitoring.collectors.progress import progress_ages
from orchestration.runs.agent_steps import open_agents
from orchestration.storage.runs import Run

# The record of a run says that it is stopped before the engine has stopped all of its parts.
_RETRIES, _RETRY_SECONDS = 50, 0.2


@dataclass(frozen=True, slots=True)
class RestartableStep:
    """A run in which the step of an agent can be restarted; `stalled` if a live process still holds it."""

    run: Run
    stalled: bool = False


async def restartable_steps(app: Application, agent: str) -> list[RestartableStep]:
    """The runs in which this agent's step has failed, was left behind, or is stalled; the newest first."""
    states = await run_states(app)
    found = [await _step(app, state, agent) for state in states]
    return sorted((step for step in found if step), key=lambda step: step.run.created_at, reverse=True)


async def restart(app: Application, step: RestartableStep) -> Run:
    """Go on with the run from the step; a stalled one is stopped first. Workers do it if there are any."""
    if step.stalled:
        await app.control.pause(step.run.id, "restarted by a person", hold=RunHold.INTERRUPTED)
    for _ in range(_RETRIES):
        try:
            return await app.launcher.resume(step.run.id, queue=None)
        except ConflictError:
            if not step.stalled:
                raise
            await app.clock.sleep(_RETRY_SECONDS)
    return await app.launcher.resume(step.run.id, queue=None)


async def _step(app: Application, state: RunState, agent: str) -> RestartableStep | None:
    run = state.run
    failed = run.status is RunStatus.FAILED
    # What a person or a response holds, or what waits for an answer, is not restarted in passing.
    if not failed and not state.need.continues:
        return None
    events = (await anyio.to_thread.run_sync(app.timeline.list_of_kinds, [run.id], PROGRESS_KINDS))[run.id]
    if agent not in open_agents(events):
        return None
    if failed or not await app.placement.is_attended(run.id):
        return RestartableStep(run)
    beats = await anyio.to_thread.run_sync(app.timeline.list_heartbeats, run.id)
    age = progress_ages(events, beats, app.clock.now()).get(agent, 0.0)
    # The measure of the alert for stalled runs, so that both mean the same by it.
    limit = app.configuration.monitoring.thresholds.stalled_seconds
    return RestartableStep(run, stalled=True) if run.status is RunStatus.RUNNING and age > limit else None
