"""Actions on runs: begin again from the last checkpoint, stop, fork, give more time, pause and resume."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import anyio.to_thread
from pydantic import Field

from orchestration.config.overrides import LimitAgent
from orchestration.config.schema import UsageLimits
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
    action,
)
from orchestration.playbooks.actions.override_effects import add_override, remove_overrides
from orchestration.playbooks.model import Risk
from orchestration.storage.runs import Run

_USUAL_SECONDS = 3600.0
_PAUSED = "paused by "
_FORK = re.compile(r"fork of (?P<run>\S+) at ")
# The records say so before the engine has put everything away.
_STANDING = frozenset({RunStatus.FAILED, RunStatus.STOPPED, RunStatus.CANCELLED})
_TRIES, _LOOK_SECONDS = 15, 0.2


class SomeRuns(Parameters):
    """Runs by identifier."""

    runs: tuple[str, ...]


class ByPriority(Parameters):
    """All unfinished runs of a priority."""

    priority: str = "low"


class MoreTime(Parameters):
    """`factor` times the present time limit, for so many minutes."""

    agents: tuple[str, ...]
    factor: float = Field(default=2.0, gt=1, le=10)
    minutes: Minutes = 240.0


class RunAction(Action[P]):
    """What the actions here share."""

    async def each(self, runs: Sequence[str], handle: Any) -> tuple[list[str], dict[str, str]]:
        """Do something to each run; returns for which it was done, and why not for the others."""
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
        """Leave a run to the workers. One whose end was recorded a moment ago is given the time to come to a stand.
        Raises ConflictError for one that somebody works on."""
        for _ in range(_TRIES):
            try:
                await self.services.control.resume(run_id, shared=True)
            except ConflictError:
                run = await anyio.to_thread.run_sync(self.services.runs.get, run_id)
                if run.status not in _STANDING:
                    raise
                await self.services.clock.sleep(_LOOK_SECONDS)
            else:
                return
        await self.services.control.resume(run_id, shared=True)

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that have not come to an end."""
        return await self.services.control.unfinished()


class NamedRunsAction(RunAction[SomeRuns]):
    """An action on runs that its parameters name."""

    def targets(self, parameters: SomeRuns) -> tuple[str, ...]:
        return parameters.runs


class GoingOn(RunAction[NoParameters]):
    """What has runs go on that stand still. It takes nothing, chooses the runs itself, and needs no taking back."""

    risk = Risk.REVERSIBLE
    undo_summary = "nothing: the runs go on"

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "the runs go on"


@action
class Restart(NamedRunsAction):
    """Begin again at the last checkpoint."""

    name = "run.restart"
    summary = "go on with runs from their last committed steps"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: what the runs have done since is kept"
    finds = ("restarted", "refused")

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"go on with {', '.join(parameters.runs)} from the last committed step"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        done, refused = await self.each(parameters.runs, self._restart)
        if not done and refused:
            raise ActionError("; ".join(refused.values()))
        summary = f"went on with {', '.join(done)}" + (f"; not with {', '.join(refused)}" if refused else "")
        return ActionOutcome(summary, {"restarted": done, "refused": sorted(refused)}, refused, undo={"runs": done})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "the runs go on: what they have done since is kept"

    async def _restart(self, run_id: str) -> None:
        run = await anyio.to_thread.run_sync(self.services.runs.get, run_id)
        if run.status is RunStatus.SUCCEEDED:
            return
        try:
            await self.resume(run_id)
        except ConflictError:
            run = await anyio.to_thread.run_sync(self.services.runs.get, run_id)
            if run.status in _STANDING:
                raise
            # Somebody works on it already: that is what was wanted.


@action
class Cancel(NamedRunsAction):
    """Stop runs for real, a blocking call too."""

    name = "run.cancel"
    summary = "stop runs, running tools too; they can be resumed"
    risk = Risk.REVERSIBLE
    undo_summary = "the runs are resumed"
    finds = ("cancelled",)

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"stop {', '.join(parameters.runs)}; committed steps are kept"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        async def stop(run_id: str) -> None:
            await self.services.control.pause(run_id, f"stopped by {context.reason}")

        done, refused = await self.each(parameters.runs, stop)
        return ActionOutcome(f"stopped {', '.join(done) or 'none'}", {"cancelled": done}, refused, undo={"runs": done})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return await _resume_all(self, undo["runs"])


@action
class Fork(NamedRunsAction):
    """Fork from the last good step."""

    name = "run.fork"
    summary = "begin a new run from the last good part of each, leaving the old one as it is"
    risk = Risk.REVERSIBLE
    undo_summary = "the new runs are cancelled"
    finds = ("forks",)

    async def preview(self, context: ActionContext, parameters: SomeRuns) -> str:
        return f"stop {', '.join(parameters.runs)}, and do the last part of each again in a run of its own"

    async def run(self, context: ActionContext, parameters: SomeRuns) -> ActionOutcome:
        forks: list[str] = []
        known = await self._known(context)

        async def fork(run_id: str) -> None:
            await self.services.control.pause(run_id, f"stopped by {context.reason}")
            forks.append(known.get(run_id) or (await self.services.control.fork(run_id, shared=True)).id)

        done, refused = await self.each(parameters.runs, fork)
        if not done:
            raise ActionError("; ".join(refused.values()) or "there was nothing to fork")
        return ActionOutcome(f"forked {', '.join(done)} as {', '.join(forks)}", {"forks": forks}, undo={"runs": forks})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        for run_id in undo["runs"]:
            try:
                await self.services.control.cancel(run_id, "the fork did not help")
            except ConflictError:
                continue
        return f"stopped {', '.join(undo['runs'])}"

    async def _known(self, context: ActionContext) -> dict[str, str]:
        """The forks that were begun since the incident and are at work: ours, from before a crash. By their origin."""
        incident = await anyio.to_thread.run_sync(self.services.incidents.get, context.incident_id)
        recent = [run for run in await self.unfinished() if run.created_at >= incident.detected_at]
        return {match["run"]: run.id for run in recent if (match := _FORK.match(run.origin))}


@action
class RaiseLimit(RunAction[MoreTime]):
    """Give agents more time."""

    name = "run.raise-limit"
    summary = "raise the time limit of agents for a time"
    risk = Risk.REVERSIBLE
    undo_summary = "the time limits are as before"
    finds = ("overrides",)

    def targets(self, parameters: MoreTime) -> tuple[str, ...]:
        return parameters.agents

    async def preview(self, context: ActionContext, parameters: MoreTime) -> str:
        return f"give {', '.join(parameters.agents)} {parameters.factor:g} times as long for {parameters.minutes:g} min"

    async def run(self, context: ActionContext, parameters: MoreTime) -> ActionOutcome:
        made = [self._raise(context, agent, parameters) for agent in parameters.agents]
        summary = f"{', '.join(parameters.agents)} may take {parameters.factor:g} times as long"
        return ActionOutcome(summary, {"overrides": made}, undo={"overrides": made})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        remove_overrides(self, context, undo["overrides"])
        return "the time limits are as before"

    def _raise(self, context: ActionContext, name: str, parameters: MoreTime) -> str:
        configuration = self.services.configuration()
        agent = configuration.agent(name)
        if agent is None:
            raise ActionError(f"expected an agent of the configuration, got '{name}'")
        present = agent.limits.seconds or configuration.runtime.limits.seconds or _USUAL_SECONDS
        limits = UsageLimits(seconds=present * parameters.factor)
        return add_override(self, context, LimitAgent(target=name, limits=limits), parameters.minutes)


@action
class Pause(RunAction[ByPriority]):
    """Stop what is not critical."""

    name = "run.pause"
    summary = "pause the unfinished runs of a priority; nothing is lost"
    risk = Risk.REVERSIBLE
    undo_summary = "the runs are resumed"
    finds = ("paused",)

    async def preview(self, context: ActionContext, parameters: ByPriority) -> str:
        names = ", ".join(run.id for run in await self._of(parameters.priority)) or "none"
        return f"pause the runs of priority {parameters.priority}: {names}"

    async def run(self, context: ActionContext, parameters: ByPriority) -> ActionOutcome:
        async def pause(run_id: str) -> None:
            await self.services.control.pause(run_id, f"{_PAUSED}{context.reason}")

        mark = f"{_PAUSED}{context.incident_id}:"
        before = [run.id for run in await self.unfinished() if run.reason.startswith(mark)]
        done, _ = await self.each([run.id for run in await self._of(parameters.priority)], pause)
        done = [*before, *done]
        return ActionOutcome(f"paused {', '.join(done) or 'none'}", {"paused": done}, undo={"runs": done})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return await _resume_all(self, undo["runs"])

    async def _of(self, priority: str) -> list[Run]:
        waiting = (RunStatus.STOPPED,)
        return [run for run in await self.unfinished() if run.priority == priority and run.status not in waiting]


@action
class ResumePaused(GoingOn):
    """Resume what was paused."""

    name = "run.resume-paused"
    summary = "resume the runs that this incident's response paused"
    finds = ("resumed",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        mark = f"{_PAUSED}{context.incident_id}:"
        paused = [run.id for run in await self.unfinished() if run.reason.startswith(mark)]
        summary = await _resume_all(self, paused)
        return ActionOutcome(summary, {"resumed": paused}, undo={})


@action
class ResumeWaiting(GoingOn):
    """Take up what a provider stopped."""

    name = "run.resume-waiting"
    summary = "resume the runs that stopped because no provider answered"
    finds = ("resumed",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        stopped = [
            run.id
            for run in await self.unfinished()
            if run.status is RunStatus.STOPPED and run.reason.startswith("no provider")
        ]
        summary = await _resume_all(self, stopped)
        return ActionOutcome(summary, {"resumed": stopped}, undo={})


@action
class Recover(GoingOn):
    """Take over what dead processes left."""

    name = "run.recover"
    summary = "see that the runs of processes that are gone are taken over"
    finds = ("taken",)

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        taken = await self.services.control.recover()
        return ActionOutcome(f"{taken} parts of runs were taken over", {"taken": taken}, undo={})


async def _resume_all(of: RunAction[Any], runs: Sequence[str]) -> str:
    done, _ = await of.each(runs, of.resume)
    return f"resumed {', '.join(done) or 'none'}"
