"""Carrying out one step of a playbook: whether it may run, who has to approve it, what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from orchestration.domain.duty import DutyRequest
from orchestration.domain.playbook_state import ActionState
from orchestration.errors import OrchestratorError
from orchestration.events.playbooks import ActionFailed, ActionFinished
from orchestration.ids import new_id
from orchestration.incidents.commands.mitigation import RecordAction
from orchestration.incidents.model import Actor, IncidentRefusedError
from orchestration.playbooks import actions, conditions, guards
from orchestration.playbooks.actions import ActionContext, ActionOutcome, AnyAction, Parameters
from orchestration.playbooks.actions.registry import find_action, find_action_or_none
from orchestration.playbooks.conditions import Condition
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.guards import GuardSituation, GuardVerdict
from orchestration.playbooks.model import GuardSettings, Mode, Phase, Risk, Step
from orchestration.playbooks.ports import ActionServices
from orchestration.playbooks.repeated_checks import folded
from orchestration.playbooks.step_results import StepDecision
from orchestration.storage.playbooks import ActionRun, GuardTrip, PlaybookRecords

AUTOMATION = "playbook"
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class PlaybookExecution:
    """One run of a playbook on an incident, as its steps need to know it. `external` means that another system reported
    the incident."""

    run_id: str
    incident_id: str
    playbook: str
    guards: GuardSettings
    drill: bool
    # The conditions of its verification.
    asked: tuple[Condition, ...] = ()
    external: bool = False


class StepExecutor:
    """Decides about steps and carries them out."""

    def __init__(self, services: ActionServices, records: PlaybookRecords) -> None:
        self._services = services
        self._records = records

    async def decide(self, execution: PlaybookExecution, step: Step, facts: KnownFacts, attempts: int) -> StepDecision:
        """Whether a step applies, with which parameters, and how far the machine may go with it."""
        if not conditions.holds(step.when, facts):
            return StepDecision(Mode.OFF, {}, f"does not apply; it is for when {conditions.in_words(step.when)}")
        try:
            action = self._action(step.action)
            values = facts.resolve(dict(step.parameters))
            parameters = actions.parse(type(action), values)
            # In a thread: the targets of a clean-up are found by walking through folders.
            targets = await anyio.to_thread.run_sync(action.targets, parameters)
            cap = action.at_most(parameters)
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with any fault)
            return StepDecision(Mode.OFF, {}, self._describe(error))
        verdict = await self._judge(execution, step, action, targets, attempts)
        guard = verdict.guard.value if verdict.guard else None
        # After the guards, so that a cap of the action itself holds whatever the configuration allows.
        mode = verdict.mode.at_most(cap)
        # A step that reads and runs at once needs no preview, which may itself ask providers or scan folders.
        only_reads = action.risk is Risk.READS and mode is Mode.AUTO
        try:
            preview = "" if only_reads else await self._preview(execution, step, action, parameters)
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with any fault)
            if mode is Mode.ASK:  # nobody is asked for leave to do what cannot be done
                return StepDecision(Mode.OFF, values, f"it cannot be done now: {self._describe(error)}")
            preview = f"cannot be foreseen: {self._describe(error)}"
        return StepDecision(mode, values, verdict.because, guard, verdict.wait, preview, targets, action.lasting)

    async def act(
        self, execution: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        """Run the action, within its time limit. A repetition after a crash finds the record and does nothing again.

        Never raises for what can go wrong in an action: the record then says what it was.
        """
        if phase is Phase.VERIFY and self._action(step.action).risk is Risk.READS:
            return await self._check(execution, self._started(execution, phase, step, key, decision, actor), step)
        known = await anyio.to_thread.run_sync(self._records.find_action, key)
        if known is not None and known.state is not ActionState.STARTED:
            return known
        # A record that still says `started` was left by a process that died in the action. It runs again, and
        # its key keeps the effect from happening twice.
        started = known or self._started(execution, phase, step, key, decision, actor)
        # Saved before the action runs: the hourly cap has to count an action even if the process dies in it.
        await anyio.to_thread.run_sync(self._records.save_action, started)
        finished, duties = await self._carry_out(execution, step, started)
        # Before the action counts as done: repeated after a crash, it asks for the same duties again.
        await anyio.to_thread.run_sync(self._record_change, execution, finished, duties)
        await anyio.to_thread.run_sync(self._records.save_action, finished)
        self._emit(execution, finished)
        return finished

    async def observe(
        self, execution: PlaybookExecution, phase: Phase, step: Step, decision: StepDecision
    ) -> ActionRun:
        """Run a step that only reads, and record nothing. Raises OrchestratorError for one that does more."""
        if self._action(step.action).risk is not Risk.READS:
            raise OrchestratorError(f"expected a step that only looks, got {step.action}, which changes something")
        started = self._started(execution, phase, step, "", decision, AUTOMATION)
        seen, _ = await self._carry_out(execution, step, started)
        return seen

    async def skip(
        self,
        execution: PlaybookExecution,
        phase: Phase,
        step: Step,
        key: str,
        decision: StepDecision,
        state: ActionState,
    ) -> ActionRun:
        """Record that the machine does not do a step, and why."""
        skipped = replace(
            self._started(execution, phase, step, key, decision, AUTOMATION),
            state=state,
            summary=decision.reason or decision.preview,
            finished_at=self._services.clock.now(),
        )
        if decision.guard is not None:
            await anyio.to_thread.run_sync(self._trip, execution, step, decision)
        if phase is Phase.VERIFY:
            return await self._record_check(execution, skipped)
        await anyio.to_thread.run_sync(self._records.save_action, skipped)
        self._emit(execution, skipped)
        return skipped

    async def undo(self, execution: PlaybookExecution, done: ActionRun) -> ActionRun:
        """Undo an action, if that is possible; returns its new record."""
        known = await anyio.to_thread.run_sync(self._records.find_action, done.key)
        # Read again from the table: after a crash the record in hand may be older than what was undone already.
        if known is None or known.state is not ActionState.DONE or known.undo is None:
            return known or done
        context = self._context(execution, known.key, known.actor, "it did not help")
        try:
            summary = self._services.redactor.text(await self._action(known.action).undo(context, known.undo))
        except Exception as error:  # noqa: BLE001 (an action may be the user's own, with any fault)
            failed = replace(known, summary=f"{known.summary}; could not be undone: {self._describe(error)}")
            await anyio.to_thread.run_sync(self._records.save_action, failed)
            self._emit(execution, failed)
            return failed
        undone = await anyio.to_thread.run_sync(self._records.mark_undone, known, summary)
        self._emit(execution, undone)
        return undone

    async def _check(self, execution: PlaybookExecution, started: ActionRun, step: Step) -> ActionRun:
        """Make one of many checks. Nothing is recorded before: what only reads counts towards no limit."""
        seen, _ = await self._carry_out(execution, step, started)
        return await self._record_check(execution, seen)

    async def _record_check(self, execution: PlaybookExecution, check: ActionRun) -> ActionRun:
        find = partial(self._records.find_check, check.run_id, check.phase, check.step, Phase.MITIGATE.value)
        kept = folded(await anyio.to_thread.run_sync(find), check, execution.asked)
        await anyio.to_thread.run_sync(self._records.save_action, kept)
        if kept.count == 1:
            self._emit(execution, check)
        return check

    def _action(self, name: str) -> AnyAction:
        return find_action(name)(self._services)

    async def _judge(
        self,
        execution: PlaybookExecution,
        step: Step,
        action: AnyAction,
        targets: tuple[str, ...] | None,
        attempts: int,
    ) -> GuardVerdict:
        configuration = self._services.configuration()
        automation, intake = configuration.automation, configuration.alerting.intake
        configured = automation.mode_of(step.action)
        wanted = step.mode if configured is None else Mode(configured)
        if action.risk is Risk.READS:
            return GuardVerdict(wanted)
        now = self._services.clock.now()
        recent = await anyio.to_thread.run_sync(self._records.automatic_since, step.action, now - _HOUR)
        tripped = await anyio.to_thread.run_sync(self._records.find_trip, step.action)
        situation = GuardSituation(
            now=now,
            automation_enabled=automation.enabled,
            risk=action.risk,
            targets=targets,
            recent=recent,
            attempts=attempts,
            fleet_unhealthy_percent=_unhealthy_percent(self._services.fleet.workers()),
            tripped=tripped is not None,
            # Only the configuration can let a destructive action run by itself, and only by naming it; the
            # `auto` of a playbook does not count.
            allowed=configured == Mode.AUTO.value,
            external=execution.external,
            named=intake.maps_to_own and step.action in intake.allowed_actions,
        )
        return guards.judge(wanted, execution.guards, situation)

    async def _preview(
        self, execution: PlaybookExecution, step: Step, action: AnyAction, parameters: Parameters
    ) -> str:
        context = self._context(execution, "", AUTOMATION, step.why)
        return self._services.redactor.text(await action.preview(context, parameters))

    def _record_change(
        self, execution: PlaybookExecution, finished: ActionRun, duties: tuple[DutyRequest, ...]
    ) -> None:
        """Report to the incident that something was changed, and what that leaves to be done."""
        if not duties and finished.risk == Risk.READS.value:
            return
        # The incident may have been ended by a person in the meantime; the action's own record tells what was done.
        with contextlib.suppress(IncidentRefusedError):
            actor = Actor(f"{AUTOMATION}:{execution.playbook}")
            self._services.incident_service.execute(execution.incident_id, actor, RecordAction(duties))

    async def _carry_out(
        self, execution: PlaybookExecution, step: Step, started: ActionRun
    ) -> tuple[ActionRun, tuple[DutyRequest, ...]]:
        context = self._context(execution, started.key, started.actor, step.why)
        try:
            action = self._action(step.action)
            parameters = actions.parse(type(action), started.parameters)
            # A step that hangs has to end with a reason, or it would hold up the whole response.
            with anyio.fail_after(step.timeout):
                outcome = await action.run(context, parameters)
        except TimeoutError:
            return self._failed(started, f"did not end within its {step.timeout:g} s"), ()
        except Exception as error:  # noqa: BLE001 (whatever goes wrong in an action, the response goes on)
            return self._failed(started, self._describe(error)), ()
        return self._succeeded(started, outcome), outcome.duties

    def _describe(self, error: Exception) -> str:
        """What went wrong, for the timeline: in the action's own words where it has any."""
        text = str(error) if isinstance(error, OrchestratorError) else f"failed: {type(error).__name__}: {error}"
        return self._services.redactor.text(text)

    def _failed(self, started: ActionRun, summary: str) -> ActionRun:
        return replace(started, state=ActionState.FAILED, summary=summary, finished_at=self._services.clock.now())

    def _succeeded(self, started: ActionRun, outcome: ActionOutcome) -> ActionRun:
        redact = self._services.redactor
        return replace(
            started,
            state=ActionState.DONE,
            summary=redact.text(outcome.summary),
            findings=redact.data(dict(outcome.findings)),
            evidence=redact.data(dict(outcome.evidence)),
            # Not redacted: `Action.undo` needs it exactly as it was.
            undo=None if outcome.undo is None else dict(outcome.undo),
            finished_at=self._services.clock.now(),
        )

    def _started(
        self, execution: PlaybookExecution, phase: Phase, step: Step, key: str, decision: StepDecision, actor: str
    ) -> ActionRun:
        kind = find_action_or_none(step.action)
        return ActionRun(
            key=key,
            run_id=execution.run_id,
            incident_id=execution.incident_id,
            phase=phase.value,
            step=step.id,
            action=step.action,
            risk=(kind.risk if kind else Risk.READS).value,
            mode=decision.mode.value,
            state=ActionState.STARTED,
            started_at=self._services.clock.now(),
            actor=actor,
            guard=decision.guard,
            parameters=dict(decision.parameters),
        )

    def _context(self, execution: PlaybookExecution, key: str, actor: str, reason: str) -> ActionContext:
        return ActionContext(
            incident_id=execution.incident_id,
            key=key,
            actor=f"{actor}:{execution.playbook}" if actor == AUTOMATION else actor,
            reason=f"{execution.incident_id}: {reason.strip() or execution.playbook}",
            now=self._services.clock.now(),
            drill=execution.drill,
        )

    def _trip(self, execution: PlaybookExecution, step: Step, decision: StepDecision) -> None:
        if decision.guard not in guards.LATCHING:
            return
        now = self._services.clock.now()
        trip_id = new_id("trip", now.timestamp())
        self._records.add_trip(
            GuardTrip(trip_id, str(decision.guard), step.action, execution.incident_id, decision.reason, now)
        )

    def _emit(self, execution: PlaybookExecution, action: ActionRun) -> None:
        kind = ActionFailed if action.state is ActionState.FAILED else ActionFinished
        event = kind(
            incident=execution.incident_id,
            playbook=execution.playbook,
            phase=action.phase,
            step=action.step,
            action=action.action,
            state=action.state.value,
            guard=action.guard,
            message=action.summary,
            drill=execution.drill,
        )
        self._services.bus.publish(event, actor=action.actor)


def _unhealthy_percent(workers: Sequence[Mapping[str, Any]]) -> float:
    if not workers:
        return 0.0
    return 100.0 * sum(not worker.get("healthy", True) for worker in workers) / len(workers)
