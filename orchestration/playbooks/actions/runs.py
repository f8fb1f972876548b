"""Actions on runs: continue from the last checkpoint, stop, fork, give more time, pause and resume."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import anyio.to_thread
from pydantic import Field

from orchestration.config.isolation import require_not_isolated
from orchestration.config.overrides import EVERYTHING, LimitAgent, LimitRuns
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.duty import DutyKind, DutyOwner, DutyRequest
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, OrchestratorError
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    Minutes,
    NoParameters,
    P,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.actions.override_effects import (
    OverridesUndo,
    add_override,
    made_by,
    remove_overrides,
    workaround_duties,
)
from orchestration.playbooks.model import Risk
from orchestration.storage.runs import Run

# The limit of an agent for which the configuration names none.
_DEFAULT_SECONDS = 3600.0
# The record of a run says so before the engine has stopped all of its parts; until then it cannot be resumed. Three
# seconds cover that gap, in which a conflict does not yet mean that somebody works on the run.
_STOPPED = frozenset({RunStatus.FAILED, RunStatus.STOPPED, RunStatus.CANCELLED})
_OUTCOMES = frozenset({RunStatus.SUCCEEDED, RunStatus.NOT_APPROVED, RunStatus.INCOMPLETE})
_RETRIES, _RETRY_SECONDS = 15, 0.2


class SomeRuns(Parameters):
    """Runs by identifier."""

    runs: tuple[str, ...]


class ByPriority(Parameters):
    """All unfinished runs of a priority."""

    priority: str = "low"


class MoreTime(Parameters):
    """`factor` times the present time limit, for agents and for runs. For so many minutes, but for good where a run was
    started with a limit of its own."""

    agents: tuple[str, ...]
    runs: tuple[str, ...] = ()
    factor: float = Field(default=2.0, gt=1, le=10)
    minutes: Minutes = 240.0


class RunsUndo(UndoState):
    """The runs that undoing resumes or cancels, by identifier."""

    runs: tuple[str, ...]


class MoreTimeUndo(OverridesUndo):
    """`seconds` are the limits that runs had of their own, by identifier."""

    seconds: Mapping[str, float] = Field(default_factory=dict)

    def leaves(self, in_force: Collection[str]) -> bool:
        # A run keeps a limit of its own until somebody changes it.
        return bool(self.seconds) or super().leaves(in_force)


class RunAction(Action[P]):
    """What the actions on runs share."""

    async def each(
        self, runs: Sequence[str], handle: Callable[[str], Awaitable[object]]
    ) -> tuple[list[str], dict[str, str]]:
        """Do something to each run; returns the runs for which it was done, and why it was not for the others."""
        done: list[str] = []
        refused: dict[str, str] = {}
        for run_id in runs:
            try:
                await handle(run_id)
            except OrchestratorError as error:
                refused[run_id] = str(error)
            else:
                done.append(run_id)
        return done, refused

    async def resume(self, run_id: str) -> None:
        """Hand a run to the workers; one that is still being stopped is given the time for it. Raises ConflictError
        for one that is being worked on."""
        require_not_isolated(self.services.store, "resume a run")
        for _ in range(_RETRIES):
            try:
                await self.services.control.resume(run_id, shared=True)
            except ConflictError:
                if (await self.get(run_id)).status not in _STOPPED:
                    raise
                await self.services.clock.sleep(_RETRY_SECONDS)
            else:
                return
        await self.services.control.resume(run_id, shared=True)

    async def resume_all(self, runs: Sequence[str]) -> str:
        """Resume what can be resumed; returns what was done."""
        done, _ = await self.each(runs, self.resume)
        return f"resumed {', '.join(done) or 'none'}"

    async def stop(self, context: ActionContext, run_id: str) -> None:
        """Stop a run on behalf of the incident; it stays unfinished."""
        await self.services.control.pause(
            run_id,
            f"stopped by {context.reason}",
            hold=RunHold.STOPPED_BY_RESPONSE,
            held_by=context.incident_id,
        )

    async def get(self, run_id: str) -> Run:
        """One run. Raises NotFoundError."""
        return await anyio.to_thread.run_sync(self.services.runs.get, run_id)

    async def unfinished(self) -> tuple[Run, ...]:
        """The runs that have not ended."""
        return await self.services.control.unfinished()

    async def paused_for(self, incident_id: str) -> list[str]:
        """The runs that the response to an incident has paused."""
        return [
            run.id
            for run in await self.unfinished()
            if run.hold is RunHold.PAUSED_BY_RESPONSE and run.held_by == incident_id
        ]


class NamedRunsAction(RunAction[SomeRuns]):
    """An action on the runs that its parameters name."""

    risk = Risk.REVERSIBLE

    def targets(self, parameters: SomeRuns) -> tuple[str, ...]:
        return parameters.runs


class ResumingAction(RunAction[NoParameters]):
    """Resumes runs that it finds by itself. There is nothing to undo: the runs go on."""

    risk = Risk.REVERSIBLE
    undo_summary = "nothing: the runs go on"

    async def undo(self, context: ActionContext, undo: Mapping[str, object]) -> str:
        return "the runs go on"


@action
class Restart(NamedRunsAction):
    """Continue from the last checkpoint."""

    name = "run.restart"
    summary = "go on with runs from their last committed steps"
    undo_summary = "nothing: what the runs have done since is kept"
    finds = ("restarted", "refused")

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"go on with {', '.join(parameters.runs)} from the last committed step"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        done, refused = await self.each(parameters.runs, self._restart)
        if not done and refused:
            raise ActionError("; ".join(refused.values()))
        summary = f"went on with {', '.join(done)}" + (f"; not with {', '.join(refused)}" if refused else "")
        findings = {"restarted": done, "refused": sorted(refused)}
        return ActionOutcome(summary, findings, refused, undo={"runs": done})

    async def undo(self, context: ActionContext, undo: Mapping[str, object]) -> str:
        return "the runs go on: what they have done since is kept"

    async def _restart(self, run_id: str) -> None:
        # A step that is repeated after a crash may find that the run has finished meanwhile. One that was not approved
        # works as it should; whether more is spent on it is for people to decide.
        if (await self.get(run_id)).status in _OUTCOMES:
            return
        try:
            await self.resume(run_id)
        except ConflictError:
            if (await self.get(run_id)).status in _STOPPED:
                raise
            # It is being worked on already, which is what was wanted.


@action
class Cancel(NamedRunsAction, ReversibleAction[SomeRuns, RunsUndo]):
    """Stop runs, and the tools that they are waiting for."""

    name = "run.cancel"
    summary = "stop runs, running tools too; they can be resumed"
    undo_summary = "the runs are resumed"
    finds = ("cancelled",)

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"stop {', '.join(parameters.runs)}; committed steps are kept"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        done, refused = await self.each(parameters.runs, lambda run_id: self.stop(context, run_id))
        undo = RunsUndo(runs=tuple(done)).as_json()
        return ActionOutcome(
            f"stopped {', '.join(done) or 'none'}",
            {"cancelled": done},
            refused,
            undo=undo,
            duties=_recoveries(done, "it was stopped by the response"),
        )

    async def revert(self, context: ActionContext, state: RunsUndo) -> str:
        return await self.resume_all(state.runs)


@action
class Fork(NamedRunsAction, ReversibleAction[SomeRuns, RunsUndo]):
    """Fork from the last part that succeeded."""

    name = "run.fork"
    summary = "begin a new run from the last good part of each, leaving the old one as it is"
    undo_summary = "the new runs are cancelled"
    finds = ("forks",)

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"stop {', '.join(parameters.runs)}, and do the last part of each again in a run of its own"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        forks: list[str] = []
        known = await self._forked_before(context)

        async def fork(run_id: str) -> None:
            require_not_isolated(self.services.store, "fork a run")
            # Stopped first, or the run would do the same work beside its fork.
            await self.stop(context, run_id)
            forks.append(known.get(run_id) or (await self.services.control.fork(run_id, shared=True)).id)

        done, refused = await self.each(parameters.runs, fork)
        if not done:
            raise ActionError("; ".join(refused.values()) or "there was nothing to fork")
        undo = RunsUndo(runs=tuple(forks)).as_json()
        return ActionOutcome(
            f"forked {', '.join(done)} as {', '.join(forks)}",
            {"forks": forks},
            undo=undo,
            duties=_recoveries(done, "its work goes on in a fork"),
        )

    async def revert(self, context: ActionContext, state: RunsUndo) -> str:
        for run_id in state.runs:
            try:
                await self.services.control.cancel(
                    run_id,
                    "the fork did not help",
                    hold=RunHold.STOPPED_BY_RESPONSE,
                    held_by=context.incident_id,
                )
            # A fork that has ended by itself needs no stopping.
            except ConflictError:
                continue
        return f"stopped {', '.join(state.runs)}"

    async def _forked_before(self, context: ActionContext) -> dict[str, str]:
        """The unfinished forks that began since the incident was detected, by the run that they were forked from. After
        a crash in the middle of this step they are ours."""
        incident = await anyio.to_thread.run_sync(self.services.incidents.get, context.incident_id)
        recent = [run for run in await self.unfinished() if run.created_at >= incident.detected_at]
        return {run.forked_from: run.id for run in recent if run.forked_from is not None}


@action
class RaiseLimit(ReversibleAction[MoreTime, MoreTimeUndo]):
    """Give agents and runs more time."""

    name = "run.raise-limit"
    summary = "raise the time limit of agents, and of runs, for a time"
    undo_summary = "the time limits are as before"
    finds = ("overrides",)

    def targets(self, parameters: MoreTime) -> tuple[str, ...]:
        return (*parameters.agents, *parameters.runs)

    async def preview(self, context: ActionContext, parameters: MoreTime) -> str:
        whom = ", ".join(self.targets(parameters))
        return f"give {whom} {parameters.factor:g} times as long for {parameters.minutes:g} min"

    async def run(self, context: ActionContext, parameters: MoreTime) -> ActionOutcome:
        # Before any override is made, since they change what is read here.
        known = {one.change.target: one.change for one in made_by(self, context)}
        agents = [known.get(agent) or self._raised(agent, parameters.factor) for agent in parameters.agents]
        longest = max((one.limits.seconds or 0.0 for one in agents if isinstance(one, LimitAgent)), default=math.inf)
        found = await anyio.to_thread.run_sync(lambda: [self.services.runs.get(name) for name in parameters.runs])
        runs = known.get(EVERYTHING) or self._runs_raised(found, longest, parameters.factor)
        made = [add_override(self, context, change, parameters.minutes) for change in (*agents, runs) if change]
        own = await anyio.to_thread.run_sync(self._extend, context, found, longest, parameters.factor)
        summary = f"{', '.join(self.targets(parameters))} may take {parameters.factor:g} times as long"
        return ActionOutcome(
            summary,
            {"overrides": made},
            undo=MoreTimeUndo(overrides=tuple(made), seconds=own).as_json(),
            duties=workaround_duties(
                made,
                "set the time limit in the configuration, or decide that the old one is right",
                DutyOwner.RESPONDER,
            ),
        )

    async def revert(self, context: ActionContext, state: MoreTimeUndo) -> str:
        remove_overrides(self, context, state.overrides)
        await anyio.to_thread.run_sync(self._restore, state)
        return self.undo_summary

    def _restore(self, state: MoreTimeUndo) -> None:
        for run_id, seconds in state.seconds.items():
            options = {**self.services.runs.get(run_id).options, "seconds": seconds}
            self.services.runs.set_options(run_id, {k: v for k, v in options.items() if k != "extended"})

    def _extend(self, context: ActionContext, runs: Sequence[Run], longest: float, factor: float) -> dict[str, float]:
        """Raise the limits that runs were started with, where they are too short; returns what they were."""
        found: dict[str, float] = {}
        for run in runs:
            extended = run.options.get("extended") or {}
            # After a crash in the middle of this step it is raised already.
            before = extended["from"] if extended.get("by") == context.key else run.options.get("seconds")
            if before is not None and _is_too_short(before, run, longest):
                found[run.id] = before
                mark = {"by": context.key, "from": before}
                changed = {**run.options, "seconds": before * factor, "extended": mark}
                self.services.runs.set_options(run.id, changed)
        return found

    def _raised(self, name: str, factor: float) -> LimitAgent:
        configuration = self.services.configuration()
        agent = configuration.agent(name)
        if agent is None:
            raise ActionError(f"expected an agent of the configuration, got '{name}'")
        present = agent.limits.seconds or configuration.runtime.limits.seconds or _DEFAULT_SECONDS
        return LimitAgent(target=name, limits=UsageLimits(seconds=present * factor))

    def _runs_raised(self, runs: Sequence[Run], longest: float, factor: float) -> LimitRuns | None:
        present = self.services.configuration().runtime.limits.seconds
        without = [run for run in runs if "seconds" not in run.options]
        if present is None or not any(_is_too_short(present, run, longest) for run in without):
            return None
        return LimitRuns(seconds=present * factor)


def _is_too_short(limit: float, run: Run, longest: float) -> bool:
    """Whether a run's own limit would end the work of an agent that may take `longest`; used before it counts too."""
    used = (run.outcome or {}).get("use", {}).get("seconds", 0.0)
    return bool(used + longest > limit)


@action
class Pause(RunAction[ByPriority], ReversibleAction[ByPriority, RunsUndo]):
    """Pause what is not critical."""

    name = "run.pause"
    summary = "pause the unfinished runs of a priority; nothing is lost"
    undo_summary = "the runs are resumed"
    finds = ("paused",)

    async def preview(self, context: ActionContext, parameters: ByPriority) -> str:
        names = ", ".join(await self._pausable(parameters.priority)) or "none"
        return f"pause the runs of priority {parameters.priority}: {names}"

    async def run(self, context: ActionContext, parameters: ByPriority) -> ActionOutcome:
        async def pause(run_id: str) -> None:
            await self.services.control.pause(
                run_id,
                f"paused by {context.reason}",
                hold=RunHold.PAUSED_BY_RESPONSE,
                held_by=context.incident_id,
            )

        # What this step had paused before a crash, so that undoing it resumes those runs as well.
        before = await self.paused_for(context.incident_id)
        done, _ = await self.each(await self._pausable(parameters.priority), pause)
        done = [*before, *done]
        undo = RunsUndo(runs=tuple(done)).as_json()
        duties = tuple(
            DutyRequest(DutyKind.REMOVE_WORKAROUND, run_id, f"resume {run_id}, which is paused", DutyOwner.AUTOMATION)
            for run_id in done
        )
        return ActionOutcome(f"paused {', '.join(done) or 'none'}", {"paused": done}, undo=undo, duties=duties)

    async def revert(self, context: ActionContext, state: RunsUndo) -> str:
        return await self.resume_all(state.runs)

    async def _pausable(self, priority: str) -> list[str]:
        unfinished = await self.unfinished()
        # A stopped run waits for a person's decision, and undoing the pause would resume it without one.
        return [run.id for run in unfinished if run.priority == priority and run.status is not RunStatus.STOPPED]


@action
class ResumePaused(ResumingAction):
    """Resume what this incident's response paused."""

    name = "run.resume-paused"
    summary = "resume the runs that this incident's response paused"
    finds = ("resumed",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        paused = await self.paused_for(context.incident_id)
        return ActionOutcome(await self.resume_all(paused), {"resumed": paused}, undo={})


@action
class ResumeWaiting(ResumingAction):
    """Resume what stopped for want of a provider."""

    name = "run.resume-waiting"
    summary = "resume the runs that stopped because no provider answered"
    finds = ("resumed",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        stopped = [
            run.id
            for run in await self.unfinished()
            if run.status is RunStatus.STOPPED and run.hold is RunHold.NO_PROVIDER
        ]
        return ActionOutcome(await self.resume_all(stopped), {"resumed": stopped}, undo={})


@action
class Recover(ResumingAction):
    """Recover what dead processes left behind."""

    name = "run.recover"
    summary = "see that the runs of processes that are gone are taken over"
    finds = ("taken",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        taken = await self.services.control.recover()
        return ActionOutcome(f"{taken} parts of runs were taken over", {"taken": taken}, undo={})


def _recoveries(runs: Sequence[str], because: str) -> tuple[DutyRequest, ...]:
    """The duty to bring each of these runs to its end."""
    return tuple(
        DutyRequest(DutyKind.RECOVER_RUN, run_id, f"resume {run_id}, or decide that it need not be finished: {because}")
        for run_id in runs
    )
