"""What people and playbooks may do to a run: start, resume, cancel, fork."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.errors import ConflictError, UsageError
from orchestration.events import Bus
from orchestration.ids import new_id
from orchestration.storage.runs import Run, Runs, RunStatus
from orchestration.workflows.coordinator import RUN, Setup
from orchestration.workflows.engine import Engine, FlowState, StepRecord

Exporter = Callable[[Run, str, Path], Awaitable[None]]

# The engine's names for the records of a child's start and of its result.
_CHILD_STARTED = "flow"


class RunControl:
    """The handles of runs. Each works on any run of the database, whichever process it ran in."""

    def __init__(self, runs: Runs, engine: Engine, bus: Bus, clock: Clock, forks: Path, export: Exporter) -> None:
        self._runs = runs
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._forks = forks
        self._export = export

    async def start(self, run: Run, *, queue: bool = False) -> None:
        """Record a run and begin it here, or leave it to the workers."""
        await anyio.to_thread.run_sync(self._runs.add, run)
        self._bus.emit("run.created", run_id=run.id, goal=run.goal, priority=run.priority, origin=run.origin)
        if queue:
            await self._engine.enqueue(RUN, run.id, None, run.priority)
        else:
            await self._engine.start(RUN, run.id, None)

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that have not come to an end, oldest first."""
        statuses = [status for status in RunStatus if not status.ended]
        return tuple(reversed(await anyio.to_thread.run_sync(lambda: self._runs.list(statuses, limit=1000))))

    async def resume(self, run_id: str) -> Run:
        """Go on with a run from its last committed steps, in this process.

        A run that was interrupted or cancelled goes on where it was; one that failed goes back to the step that
        failed. Raises ConflictError when it succeeded, or is running in a live process.
        """
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        # Empty when a process died between recording the run and beginning it.
        tree = await self._engine.tree(run.id)
        if run.status is RunStatus.SUCCEEDED:
            raise ConflictError(f"expected an unfinished run, got {run.id}, which succeeded; fork it to go another way")
        if not tree:
            await self._engine.start(RUN, run.id, None)
        elif run.status is RunStatus.FAILED:
            await self._go_back(run)
        elif any(status.state is FlowState.INTERRUPTED for status in tree):
            await self._engine.recover(run.id)
        elif any(status.state in (FlowState.CANCELLED, FlowState.CRASHED) for status in tree):
            await anyio.to_thread.run_sync(self._runs.reopen, run.id)
            await self._engine.resume(run.id)
        else:
            raise ConflictError(
                f"expected a run that stands still, got {run.id}, which process {tree[0].executor} is working on; "
                "watch it with `orchestrator runs show`, or cancel it first"
            )
        self._bus.emit("run.resumed", run_id=run.id)
        return run

    async def cancel(self, run_id: str, reason: str = "") -> Run:
        """Stop a run, running tools too. Its committed steps stay, so it can be resumed. Raises ConflictError when it
        has ended already."""
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        now = self._clock.now()
        cancelled = await anyio.to_thread.run_sync(
            lambda: self._runs.set_status(run.id, RunStatus.CANCELLED, reason, finished_at=now)
        )
        if not cancelled:
            raise ConflictError(f"expected a run that has not ended, got {run.id}, which is {run.status}")
        await self._engine.cancel(run.id)
        self._bus.emit("run.cancelled", run_id=run.id, reason=reason)
        return run

    async def parts(self, run_id: str) -> tuple[StepRecord, ...]:
        """The run's own steps at which an agent or a group of agents was started: where it can be forked."""
        return tuple(step for step in await self._engine.steps(run_id) if step.name == _CHILD_STARTED)

    async def fork(self, run_id: str, number: int | None = None) -> Run:
        """Begin a new run that shares everything before a part of this one, in a copy of the workspace as it was then.

        `number` is one of `parts`; without it, the last. Raises UsageError for any other number.
        """
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        parts = [step.number for step in await self.parts(run.id)]
        chosen = number if number is not None else max(parts, default=None)
        if chosen not in parts:
            names = ", ".join(map(str, parts)) or "none yet"
            raise UsageError(f"expected the number of a part of {run.id} ({names}), got {number}")
        now = self._clock.now()
        new = new_id("run", now.timestamp())
        fork = replace(
            run,
            id=new,
            workspace=str(self._forks / new),
            status=RunStatus.QUEUED,
            reason="",
            origin=f"fork of {run.id} at {chosen}",
            outcome=None,
            created_at=now,
            started_at=None,
            finished_at=None,
        )
        await self._export(run, _tree_before(await self._engine.steps(run.id), chosen), Path(fork.workspace))
        await anyio.to_thread.run_sync(self._runs.add, fork)
        await self._engine.fork(run.id, chosen, new)
        self._bus.emit("run.forked", run_id=new, origin=run.id, number=chosen)
        return fork

    async def _go_back(self, run: Run) -> None:
        """Take a failed run back to its failed steps. Raises ConflictError when no step of it failed."""
        if not await self._rewind(run.id):
            raise ConflictError(
                f"expected a run with a failed step, got {run.id}, which failed because {run.reason}; "
                "fork it from the part that should be done again"
            )
        await anyio.to_thread.run_sync(self._runs.reopen, run.id)

    async def _rewind(self, flow_id: str) -> bool:
        """Rewind the failed descendants of a flow, the lowest first, then the flow to where it took their results."""
        steps = await self._engine.steps(flow_id)
        failed = [step for step in steps if step.failed or _says_failed(step.output)]
        for step in failed:
            if step.child_id and not await self._rewind(step.child_id):
                await self._engine.rewind(step.child_id, 1)
        if not failed:
            return False
        await self._engine.rewind(flow_id, failed[0].number)
        return True


def _says_failed(output: Any) -> bool:
    """Whether a child's recorded result says that it failed."""
    return isinstance(output, dict) and output.get("failing") is not None


def _tree_before(steps: Sequence[StepRecord], number: int) -> str:
    """The last snapshot of the workspace before a step."""
    tree = ""
    for step in steps:
        if step.number < number and step.name == "begin":
            tree = Setup.model_validate(step.output).baseline
        elif step.number < number and step.name == "snapshot":
            tree = step.output
    return tree
