"""Carrying out one step of a playbook: may it run, who has to agree, what came of it. Each of these is a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread

from orchestration.domain.playbook_state import ActionState
from orchestration.errors import OrchestratorError
from orchestration.events.playbooks import ActionFailed, ActionFinished
from orchestration.ids import new_id
from orchestration.playbooks import actions, conditions, guards
from orchestration.playbooks.actions import Action, ActionContext, ActionOutcome
from orchestration.playbooks.actions.registry import complete
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.guards import GuardSituation, GuardVerdict
from orchestration.playbooks.model import GuardSettings, Mode, Phase, Risk, Step
from orchestration.playbooks.ports import ActionServices
from orchestration.storage.playbooks import ActionRun, GuardTrip, PlaybookRecords

AUTOMATION = "playbook"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PlaybookExecution:
    """One playbook's run on one incident, as its steps need to know it."""

    run_id: str
    incident_id: str
    playbook: str
    guards: GuardSettings
    drill: bool


@dataclass(frozen=True, slots=True)
class StepDecision:
    """What is to become of a step, before anything is done."""

    mode: Mode
    parameters: Mapping[str, Any]
    says: str = ""
    guard: str | None = None
    wait: float = 0.0
    preview: str = ""
    targets: tuple[str, ...] | None = None


class StepExecutor:
    """Decides on steps and carries them out."""

    def __init__(self, handles: ActionServices, records: PlaybookRecords) -> None:
        self._handles = handles
        self._records = records

    async def decide(self, response: PlaybookExecution, step: Step, facts: KnownFacts, attempts: int) -> StepDecision:
        """Whether a step applies, with which parameters, and how far the machine may go with it."""
        if not conditions.holds(step.when, facts):
            return StepDecision(Mode.OFF, {}, f"does not apply: {conditions.in_words(step.when)} is not so")
        try:
            action = self._action(step)
            values = facts.resolve(dict(step.parameters))
            parameters = actions.parse(type(action), values)
            targets = await anyio.to_thread.run_sync(action.targets, parameters)
            careful = action.at_most(parameters)
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with whatever faults)
            return StepDecision(Mode.OFF, {}, self._told(error))
        verdict = await self._judge(response, step, action, targets, attempts)
        guard = verdict.guard.value if verdict.guard else None
        mode = verdict.mode.at_most(careful)
        only_looks = action.risk is Risk.READS and mode is Mode.AUTO
        preview = "" if only_looks else await self._preview(response, step, action, parameters)
        return StepDecision(mode, values, verdict.because, guard, verdict.wait, preview, targets)

    async def act(
        self, response: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        """Do it, within its time limit; a repetition after a crash finds the record and does nothing again.

        Never raises for what an action can get wrong: the record then says what it was.
        """
        known = await anyio.to_thread.run_sync(self._records.action, key)
        if known is not None and known.state is not ActionState.STARTED:
            return known
        begun = known or self._begun(response, phase, step, key, decision, actor)
        await anyio.to_thread.run_sync(self._records.save, begun)
        ended = await self._carry_out(response, step, begun)
        await anyio.to_thread.run_sync(self._records.save, ended)
        self._say(response, ended)
        return ended

    async def look(self, response: PlaybookExecution, phase: Phase, step: Step, decision: StepDecision) -> ActionRun:
        """Carry out a step that only looks, and record nothing. Raises OrchestratorError for one that does more."""
        if self._action(step).risk is not Risk.READS:
            raise OrchestratorError(f"expected a step that only looks, got {step.action}, which changes something")
        return await self._carry_out(response, step, self._begun(response, phase, step, "", decision, AUTOMATION))

    async def leave(
        self,
        response: PlaybookExecution,
        phase: Phase,
        step: Step,
        key: str,
        decision: StepDecision,
        state: ActionState,
    ) -> ActionRun:
        """Record that a step is not done by the machine, and why."""
        left = replace(
            self._begun(response, phase, step, key, decision, AUTOMATION),
            state=state,
            says=decision.says or decision.preview,
            finished_at=self._handles.clock.now(),
        )
        await anyio.to_thread.run_sync(self._records.save, left)
        if decision.guard is not None:
            await anyio.to_thread.run_sync(self._trip, response, step, decision)
        self._say(response, left)
        return left

    async def undo(self, response: PlaybookExecution, done: ActionRun) -> ActionRun:
        """Take an action back, if it can be; says what became of it."""
        known = await anyio.to_thread.run_sync(self._records.action, done.key)
        if known is None or known.state is not ActionState.DONE or known.undo is None:
            return known or done
        context = self._context(response, known.key, known.actor, "it did not help")
        try:
            says = self._handles.redactor.text(await _named(known.action)(self._handles).undo(context, known.undo))
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with whatever faults)
            failed = replace(known, says=f"{known.says}; could not be taken back: {self._told(error)}")
            await anyio.to_thread.run_sync(self._records.save, failed)
            self._say(response, failed)
            return failed
        await anyio.to_thread.run_sync(self._records.undone, known, says)
        undone = replace(known, state=ActionState.UNDONE, says=f"{known.says}; taken back: {says}")
        self._say(response, undone)
        return undone

    def _action(self, step: Step) -> Action[Any]:
        return _named(step.action)(self._handles)

    async def _judge(
        self,
        response: PlaybookExecution,
        step: Step,
        action: Action[Any],
        targets: tuple[str, ...] | None,
        attempts: int,
    ) -> GuardVerdict:
        automation = self._handles.configuration().automation
        configured = automation.mode_of(step.action)
        wanted = step.mode if configured is None else Mode(configured)
        if action.risk is Risk.READS:
            return GuardVerdict(wanted)
        now = self._handles.clock.now()
        recent = await anyio.to_thread.run_sync(self._records.automatic_since, step.action, now - _HOUR)
        tripped = await anyio.to_thread.run_sync(self._records.tripped, step.action)
        situation = GuardSituation(
            now=now,
            automation_enabled=automation.enabled,
            risk=action.risk,
            targets=targets,
            recent=recent,
            attempts=attempts,
            fleet_unhealthy_percent=_unhealthy_percent(self._handles.fleet.workers()),
            tripped=tripped is not None,
            allowed=configured == Mode.AUTO.value,
        )
        return guards.judge(wanted, response.guards, situation)

    async def _preview(self, response: PlaybookExecution, step: Step, action: Action[Any], parameters: Any) -> str:
        context = self._context(response, "", AUTOMATION, step.why)
        try:
            return self._handles.redactor.text(await action.preview(context, parameters))
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with whatever faults)
            return f"cannot be foreseen: {self._told(error)}"

    async def _carry_out(self, response: PlaybookExecution, step: Step, begun: ActionRun) -> ActionRun:
        context = self._context(response, begun.key, begun.actor, step.why)
        try:
            action = self._action(step)
            parameters = actions.parse(type(action), begun.parameters)
            with anyio.fail_after(step.timeout):
                outcome = await action.run(context, parameters)
        except TimeoutError:
            outcome = None
            says = f"did not end within its {step.timeout:g} s"
        except Exception as error:  # noqa: BLE001 (whatever goes wrong in an action, the response goes on)
            outcome, says = None, self._told(error)
        if outcome is None:
            return replace(begun, state=ActionState.FAILED, says=says, finished_at=self._handles.clock.now())
        return self._done(begun, outcome)

    def _told(self, error: Exception) -> str:
        """What went wrong, for the timeline: in the action's own words where it has any."""
        text = str(error) if isinstance(error, OrchestratorError) else f"failed: {type(error).__name__}: {error}"
        return self._handles.redactor.text(text)

    def _done(self, begun: ActionRun, outcome: ActionOutcome) -> ActionRun:
        redact = self._handles.redactor
        return replace(
            begun,
            state=ActionState.DONE,
            says=redact.text(outcome.says),
            findings=redact.data(dict(outcome.findings)),
            evidence=redact.data(dict(outcome.evidence)),
            undo=None if outcome.undo is None else dict(outcome.undo),
            finished_at=self._handles.clock.now(),
        )

    def _begun(
        self, response: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        kind = complete().get(step.action)
        return ActionRun(
            key=key,
            run_id=response.run_id,
            incident_id=response.incident_id,
            phase=phase.value,
            step=step.id,
            action=step.action,
            risk=(kind.risk if kind else Risk.READS).value,
            mode=decision.mode.value,
            state=ActionState.STARTED,
            started_at=self._handles.clock.now(),
            actor=actor,
            guard=decision.guard,
            parameters=dict(decision.parameters),
        )

    def _context(self, response: PlaybookExecution, key: str, actor: str, reason: str) -> ActionContext:
        return ActionContext(
            incident_id=response.incident_id,
            key=key,
            actor=f"{actor}:{response.playbook}" if actor == AUTOMATION else actor,
            reason=f"{response.incident_id}: {reason.strip() or response.playbook}",
            now=self._handles.clock.now(),
            drill=response.drill,
        )

    def _trip(self, response: PlaybookExecution, step: Step, decision: StepDecision) -> None:
        if decision.guard not in guards.LATCHING:
            return
        now = self._handles.clock.now()
        trip_id = new_id("trip", now.timestamp())
        self._records.trip(
            GuardTrip(trip_id, str(decision.guard), step.action, response.incident_id, decision.says, now)
        )

    def _say(self, response: PlaybookExecution, action: ActionRun) -> None:
        kind = ActionFailed if action.state is ActionState.FAILED else ActionFinished
        payload = kind(
            incident=response.incident_id,
            playbook=response.playbook,
            phase=action.phase,
            step=action.step,
            action=action.action,
            state=action.state.value,
            guard=action.guard,
            message=action.says,
            drill=response.drill,
        )
        self._handles.bus.publish(payload, actor=action.actor)


def _named(name: str) -> type[Action[Any]]:
    """The action of that name. Raises OrchestratorError where there is none any more."""
    kind = complete().get(name)
    if kind is None:
        raise OrchestratorError(f"the action {name} does not exist in this release, or its package is gone")
    return kind


def _unhealthy_percent(workers: Any) -> float:
    records = list(workers)
    if not records:
        return 0.0
    return 100.0 * sum(not record.get("healthy", True) for record in records) / len(records)
