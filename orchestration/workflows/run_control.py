"""Control of runs by people and playbooks: start, resume, cancel, pause, fork."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.domain.failure_class import FailureClass
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunEnding, RunStatus
from orchestration.errors import ConflictError, UsageError
from orchestration.events import EventBus
from orchestration.events.agents import Usage
from orchestration.events.runs import RunCancelled, RunCreated, RunFinished, RunForked, RunResumed, RunStopped
from orchestration.ids import new_id
from orchestration.storage.runs import IN_PLACE, WORKTREE, Run, Runs, ending_of
from orchestration.workflows.attempts import AttemptSettings, begins_anew
from orchestration.workflows.coordinator import LIMITS_STEP, RUN
from orchestration.workflows.engine import Engine, FlowState, FlowStatus, StepRecord
from orchestration.workflows.model import AgentUsage
from orchestration.workflows.run_progress import EXTRA_ROUNDS, RunSetup

Exporter = Callable[[Run, str, str, Run], Awaitable[None]]

# The name under which the engine records the start of a child: that of its one workflow function.
_CHILD_STARTED = "flow"


# Nobody works on a flow in one of these states.
_IDLE = frozenset({FlowState.INTERRUPTED, FlowState.CANCELLED, FlowState.CRASHED})
_ENDED = frozenset({FlowState.SUCCEEDED, FlowState.FAILED})
_ENDED_BADLY = {
    FlowState.CRASHED: "its process crashed too often while working on it; resume the run to try once more",
    FlowState.FAILED: "it ended with an internal error, which is in the log; resume the run to try once more",
    # Its record says that it goes on: somebody was resuming it.
    FlowState.SUCCEEDED: "its process ended while it was being resumed; resume the run to try once more",
}
_FAILURE_OF = {FlowState.CRASHED: FailureClass.CRASHED}


class RunControl:
    """Controls any run of the database, whichever process it ran in."""

    def __init__(
        self,
        runs: Runs,
        engine: Engine,
        bus: EventBus,
        clock: Clock,
        forks: Path,
        export: Exporter,
        config_version: Callable[[], int | None] = lambda: None,
        update: Callable[[Run], Awaitable[None]] | None = None,
    ) -> None:
        """`config_version` returns the number of the configuration in force; `update` brings the files of a run up to
        date, or raises ConflictError."""
        self._config_version = config_version
        self._runs = runs
        self._engine = engine
        self._bus = bus
        self._clock = clock
        self._forks = forks
        self._export = export
        self._update = update
        self._suspects: frozenset[str] = frozenset()

    async def start(self, run: Run, *, queue: bool = False) -> None:
        """Record a run and start it here, or leave it to the workers."""
        await anyio.to_thread.run_sync(self._runs.add, run)
        self._bus.publish(RunCreated(goal=run.goal, priority=run.priority, origin=run.origin), run_id=run.id)
        await self._begin(run, queue=queue)

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that have not ended, oldest first."""
        statuses = [status for status in RunStatus if not status.ended]
        return tuple(reversed(await anyio.to_thread.run_sync(lambda: self._runs.list(statuses, limit=1000))))

    async def resume(
        self, run_id: str, *, shared: bool = False, rounds: int | None = None, keep_base: bool = False
    ) -> Run:
        """Continue a run from its last committed steps, in this process, or with `shared` in any worker.

        A run that was interrupted or cancelled continues where it was; one that failed goes back to the step that
        failed; one whose reviewer still asks for changes gets `rounds` more of corrections, one unless a number is
        given. Unless it was merely interrupted, that is another attempt, which takes its limits, prompts, tools,
        providers and models from the configuration in force, and with its worktree what was committed to its workspace
        since, unless it is to `keep_base`. Raises ConflictError if it has succeeded, a live process is working on it,
        or the worktree cannot be brought up to date, and UsageError if it cannot use more rounds.
        """
        # Empty when a process died between recording the run and beginning it. Read before the run: a flow that has
        # ended has recorded the outcome.
        tree = await self._engine.tree(run_id)
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        if run.status is RunStatus.SUCCEEDED:
            raise ConflictError(f"{run.id} has succeeded and cannot be resumed; fork it to take another path")
        if rounds is not None and ending_of(run) is not RunEnding.CHANGES_REQUESTED:
            raise UsageError(f"{run.id} did not end because its reviewer asks for changes; resume it without rounds")
        if self._update is not None and tree and begins_anew(run) and _is_left(tree) and not keep_base:
            await self._update(run)
        await self._continue(run, tree, rounds or 1, shared=shared)
        resumed = await anyio.to_thread.run_sync(self._runs.get, run.id)
        version = self._config_version() if resumed.attempt != run.attempt else None
        self._bus.publish(RunResumed(attempt=resumed.attempt, config_version=version), run_id=run.id)
        return resumed

    async def _continue(self, run: Run, tree: Sequence[FlowStatus], rounds: int, *, shared: bool) -> None:
        if not tree:
            await self._reopen(run)
            await self._begin(run, queue=shared)
        elif ending_of(run) is RunEnding.CHANGES_REQUESTED and tree[0].state in _ENDED:
            await self._add_rounds(run, rounds, shared=shared)
        elif tree[0].state in _ENDED:
            # Its status may be "running" here: a process that rewound it died before it had come to the run itself.
            await self._rewind_run(run, {status.id: status for status in tree}, shared=shared)
            await self._continue_parts(run, shared=shared)
        elif _is_idle(tree):
            await self._reopen(run)
            await self._continue_parts(run, shared=shared)
        else:
            raise ConflictError(
                f"{run.id} is running: process {tree[0].executor} is working on it; "
                f"watch it with `orchestrator runs show {run.id}`, or cancel it first"
            )

    async def settle(self) -> tuple[str, ...]:
        """Mark as failed every run whose flow has ended without recording an outcome: it crashed too often, or hit a
        bug of ours. Call it every few seconds. A run must be found like that twice in a row, because a flow ends a
        moment before its run's outcome is visible. Returns the identifiers."""
        states = await self._engine.states([run.id for run in await self.unfinished()])
        found = {run_id: reason for run_id, state in states.items() if (reason := _ENDED_BADLY.get(state))}
        settled = [run_id for run_id in found if run_id in self._suspects]
        self._suspects = frozenset(found)
        for run_id in settled:
            now = self._clock.now()
            ended = partial(self._runs.set_status, run_id, RunStatus.FAILED, found[run_id], finished_at=now)
            if await anyio.to_thread.run_sync(ended):
                # The flow has ended without recording what it used, so that these zeros mean "unknown".
                use = Usage(**AgentUsage().model_dump())
                finished = RunFinished(
                    RunStatus.FAILED.value,
                    found[run_id],
                    use,
                    verdict=None,
                    ending=RunEnding.INTERNAL_ERROR.value,
                    failure=_FAILURE_OF.get(states[run_id], FailureClass.INTERNAL_ERROR).value,
                )
                self._bus.publish(finished, run_id=run_id)
        return tuple(settled)

    async def cancel(
        self,
        run_id: str,
        reason: str = "",
        *,
        hold: RunHold = RunHold.CANCELLED_BY_PERSON,
        held_by: str | None = None,
    ) -> Run:
        """Stop a run, including running tools. Its committed steps stay, so it can be resumed. Raises ConflictError if
        it has ended already."""
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        now = self._clock.now()
        # The record first: an engine that is cancelled first could still write "failed" as the outcome.
        cancelled = await anyio.to_thread.run_sync(
            lambda: self._runs.set_status(
                run.id, RunStatus.CANCELLED, reason, hold=hold, held_by=held_by, finished_at=now
            )
        )
        if not cancelled:
            raise ConflictError(f"{run.id} has ended already ({run.status})")
        if await self._engine.tree(run.id):
            await self._engine.cancel(run.id)
        self._bus.publish(RunCancelled(reason=reason), run_id=run.id)
        return run

    async def pause(
        self, run_id: str, reason: str, *, hold: RunHold = RunHold.PAUSED_BY_PERSON, held_by: str | None = None
    ) -> Run:
        """Stop a run as `cancel` does, but leave it unfinished, to be resumed when the reason is gone.

        `held_by` is the incident whose response pauses it.
        """
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        stopped = await anyio.to_thread.run_sync(
            lambda: self._runs.set_status(run.id, RunStatus.STOPPED, reason, hold=hold, held_by=held_by)
        )
        if not stopped:
            raise ConflictError(f"{run.id} has ended already ({run.status})")
        if await self._engine.tree(run.id):
            await self._engine.cancel(run.id)
        self._bus.publish(RunStopped(reason=reason), run_id=run.id)
        return run

    async def is_interrupted(self, run_id: str) -> bool:
        """Whether some part of a run was left behind by a process that is gone."""
        return any(status.state is FlowState.INTERRUPTED for status in await self._engine.tree(run_id))

    async def is_used_up(self, run_id: str) -> bool:
        """Whether a run ended because a limit of the whole run was used up."""
        return any(step.name == LIMITS_STEP and step.failed for step in await self._engine.steps(run_id))

    async def recover(self) -> int:
        """Leave the parts of unfinished runs that dead processes owned to the workers; returns how many parts."""
        return sum([await self._engine.recover(run.id, shared=True) for run in await self.unfinished()])

    async def parts(self, run_id: str) -> tuple[StepRecord, ...]:
        """The steps at which a run started an agent or a group of agents: where it can be forked."""
        return tuple(step for step in await self._engine.steps(run_id) if step.name == _CHILD_STARTED)

    async def snapshots(self, run_id: str) -> tuple[str | None, str | None]:
        """The records of the workspace before a run and after its last changes, as far as there are any."""
        before, after = _trees(await self._engine.steps(run_id))
        return before, after

    async def fork(self, run_id: str, number: int | None = None, *, shared: bool = False) -> Run:
        """Start a new run that shares everything before one part of this run, in a copy of the workspace as it was
        then.

        `number` is one of `parts`, by default the last. Raises UsageError for any other number.
        """
        run = await anyio.to_thread.run_sync(self._runs.get, run_id)
        parts = [step.number for step in await self.parts(run.id)]
        chosen = number if number is not None else max(parts, default=None)
        if chosen not in parts:
            names = ", ".join(map(str, parts)) or "none yet"
            raise UsageError(f"{run.id} has no part {number}; its parts: {names}")
        fork = self._fork_of(run, chosen)
        # Workspace and record before the engine: a fork that runs at once must find both.
        before, after = _trees([step for step in await self._engine.steps(run.id) if step.number < chosen])
        await self._export(run, after or before or "", before or "", fork)
        await anyio.to_thread.run_sync(self._runs.add, fork)
        await self._engine.fork(run.id, chosen, fork.id, shared=shared)
        self._bus.publish(RunForked(origin=run.id, number=chosen), run_id=fork.id)
        return fork

    def _fork_of(self, run: Run, number: int) -> Run:
        now = self._clock.now()
        new = new_id("run", now.timestamp())
        copied = {name: value for name, value in run.options.items() if name != IN_PLACE}
        return replace(
            run,
            id=new,
            # A worktree of its own, or a copy of the folder.
            workspace=run.workspace if run.has_worktree else str(self._forks / new),
            options={**copied, WORKTREE: run.folder.replace(run.id, new)} if run.has_worktree else copied,
            status=RunStatus.QUEUED,
            reason="",
            hold=None,
            held_by=None,
            origin=f"fork of {run.id} at {number}",
            config_version=self._config_version(),
            # What it does anew is another attempt, with the configuration in force.
            attempt=run.attempt + 1,
            forked_from=run.id,
            outcome=None,
            created_at=now,
            started_at=None,
            finished_at=None,
        )

    async def _begin(self, run: Run, *, queue: bool) -> None:
        if queue:
            await self._engine.enqueue(RUN, run.id, None, run.priority)
        else:
            await self._engine.start(RUN, run.id, None)

    async def _reopen(self, run: Run) -> None:
        """Mark the run as running before it is: the other way round, a fast run could end first and be reopened."""
        reopen = partial(self._runs.reopen, run.id, new_attempt=begins_anew(run))
        await anyio.to_thread.run_sync(reopen)

    async def _continue_parts(self, run: Run, *, shared: bool) -> None:
        """Continue all parts of a run on which nobody works. They may be in several states, because a process can die
        while it cancels or rewinds a run."""
        await self._engine.recover(run.id, shared=shared)
        await self._engine.claim(run.id, shared=shared)
        await self._engine.resume(run.id, shared=shared)

    async def _rewind_run(self, run: Run, tree: Mapping[str, FlowStatus], *, shared: bool) -> None:
        """Rewind a run to its failed steps or checks. Raises ConflictError if there are none."""
        if tree[run.id].state is FlowState.FAILED or await self._failed_steps(run.id):
            await self._reopen(run)
            await self._rewind(run.id, tree, shared=shared)
            return
        checks = [step.number for step in await self._engine.steps(run.id) if _is_failed_check(step)]
        if not checks:
            raise ConflictError(
                f"{run.id} has no failed step to go back to; it ended because {run.reason}. "
                "Fork it from the part that should be repeated"
            )
        # The results of the reviewers after it stay recorded: only the checks are run again, on what is there now.
        await self._reopen(run)
        await self._engine.rewind(run.id, checks[0], shared=shared)

    async def _add_rounds(self, run: Run, rounds: int, *, shared: bool) -> None:
        """Let the work go back to the executor for some more rounds, from where the run ended."""
        options = {**run.options, EXTRA_ROUNDS: int(run.options.get(EXTRA_ROUNDS, 0)) + rounds}
        end = [step.number for step in await self._engine.steps(run.id) if step.name == "end"]
        # First, because it may be refused.
        await self._reopen(run)
        await anyio.to_thread.run_sync(lambda: self._runs.set_options(run.id, options))
        await self._engine.rewind(run.id, end[-1], shared=shared)

    async def _rewind(self, flow_id: str, tree: Mapping[str, FlowStatus], *, shared: bool) -> None:
        """Rewind the failed descendants of a flow, the lowest first, then the flow itself to where it read their
        results.

        The parent must come last: rewound first, it would read the old result of its child again. A flow whose result
        says that it failed, though none of its steps did, is repeated from the start; one that ended with an internal
        error continues where it was.
        """
        failed = await self._failed_steps(flow_id)
        number = 1
        if failed:
            number = failed[0].number
        elif tree[flow_id].state is FlowState.FAILED:
            number = 1 + max((step.number for step in await self._engine.steps(flow_id)), default=0)
        for child in (tree.get(step.child_id or "") for step in failed):
            if child is not None and child.state in _ENDED:
                await self._rewind(child.id, tree, shared=shared)
        await self._engine.rewind(flow_id, number, shared=shared)

    async def _failed_steps(self, flow_id: str) -> list[StepRecord]:
        return [step for step in await self._engine.steps(flow_id) if step.failed or _is_failure(step.output)]


def _is_left(tree: Sequence[FlowStatus]) -> bool:
    """Whether nobody works on any part of a run."""
    return not {status.state for status in tree} & {FlowState.RUNNING, FlowState.QUEUED}


def _is_idle(tree: Sequence[FlowStatus]) -> bool:
    """Whether some part of a run has no process that works on it."""
    states = {status.state for status in tree}
    return bool(states & _IDLE) or (FlowState.QUEUED in states and FlowState.RUNNING not in states)


def _is_failure(output: Any) -> bool:
    """Whether a child's recorded result says that it failed."""
    return isinstance(output, dict) and output.get("failing") is not None


def _is_failed_check(step: StepRecord) -> bool:
    return step.name == "check" and isinstance(step.output, dict) and step.output.get("exit_code") != 0


def _trees(steps: Sequence[StepRecord]) -> tuple[str | None, str | None]:
    """The snapshots of the workspace before a run and after its last changes, by its steps so far."""
    before: str | None = None
    found: tuple[str | None, str | None] = (None, None)
    for step in steps:
        if step.failed:
            continue
        if step.name == "begin":
            before = RunSetup.model_validate(step.output).baseline
        elif step.name == "attempt":
            before = AttemptSettings.model_validate(step.output).baseline or before
        elif step.name == "snapshot":
            found = (before, step.output)
    return found if found[1] else (before, None)
