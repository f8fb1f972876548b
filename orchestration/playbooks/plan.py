"""A dry run: exactly what a playbook would do now, without doing it. Only steps that read are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.config.schema import Configuration
from orchestration.domain.playbook_state import ActionState
from orchestration.domain.scenario import Scenario
from orchestration.playbooks import conditions, hypotheses
from orchestration.playbooks.execution import PlaybookExecution, StepExecutor
from orchestration.playbooks.facts import KnownFacts
from orchestration.playbooks.hypotheses import RankedHypothesis
from orchestration.playbooks.model import Mode, Option, Phase, Playbook, Step
from orchestration.playbooks.runner import in_order
from orchestration.storage.playbooks import Summary


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step. `mode` is how far the machine would go, `says` what it found or what it would do, and what holds it
    back."""

    phase: str
    step: str
    action: str
    mode: str
    summary: Summary
    guard: str | None = None
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class PlannedOption:
    """One way to mitigate, in the order in which it would be tried; `applies` says whether it would be."""

    option: str
    summary: Summary
    applies: bool
    steps: tuple[PlannedStep, ...]


@dataclass(frozen=True, slots=True)
class PlaybookPlan:
    """Everything that would be done."""

    playbook: str
    incident: str | None
    looked: tuple[PlannedStep, ...]
    causes: tuple[RankedHypothesis, ...]
    calls: tuple[str, ...]
    options: tuple[PlannedOption, ...]
    recover: tuple[PlannedStep, ...]
    document: tuple[PlannedStep, ...]


async def plan(
    executor: StepExecutor, playbook: Playbook, facts: Mapping[str, Any], *, incident: str | None = None
) -> PlaybookPlan:
    """Run the steps that read, then predict the rest."""
    return await _Planner(executor, playbook, facts).plan(incident)


def imagined(playbook: Playbook, configuration: Configuration) -> dict[str, Any]:
    """The facts of an imagined incident that affects everything, for a dry run without an incident."""
    runtime = configuration.runtime
    return {
        "incident.id": "no-incident",
        "incident.severity": "P2",
        "incident.scenario": playbook.scenario.value,
        "incident.component": str(playbook.applies_when.get("incident.component", "")),
        "incident.agents": [agent.id for agent in configuration.agents],
        "incident.providers": [runtime.default_provider, *runtime.fallback_providers],
        "incident.runs": [],
        "incident.hosts": [],
        "incident.agents_failing_percent": 0.0,
        "incident.drill": False,
        "incident.external": playbook.scenario is Scenario.EXTERNAL_ALERT,
    }


class _Planner:
    def __init__(self, executor: StepExecutor, playbook: Playbook, facts: Mapping[str, Any]) -> None:
        self._executor = executor
        self._playbook = playbook
        self._facts = KnownFacts(facts)
        incident = str(facts["incident.id"])
        self._response = PlaybookExecution(
            "dry-run",
            incident,
            playbook.name,
            playbook.guards,
            drill=bool(facts["incident.drill"]),
            external=bool(facts["incident.external"]),
        )

    async def plan(self, incident: str | None) -> PlaybookPlan:
        book = self._playbook
        looked = [await self._look(Phase.IDENTIFY, step) for step in book.identify]
        looked += [await self._look(Phase.DIAGNOSE, step) for step in book.diagnose]
        causes = hypotheses.rank(book.hypotheses, self._facts)
        return PlaybookPlan(
            playbook=book.name,
            incident=incident,
            looked=tuple(looked),
            causes=causes,
            calls=tuple(
                f"level {rule.level}: {rule.reason}"
                for rule in book.escalate
                if conditions.holds(rule.when, self._facts)
            ),
            options=tuple([await self._option(option) for option in in_order(book.mitigate, causes)]),
            recover=await self._foreseen(Phase.RECOVER, book.recover),
            document=await self._foreseen(Phase.DOCUMENT, book.document),
        )

    async def _look(self, phase: Phase, step: Step) -> PlannedStep:
        decision = await self._executor.decide(self._response, step, self._facts, 0)
        if decision.mode is not Mode.AUTO:
            return PlannedStep(phase.value, step.id, step.action, decision.mode.value, decision.reason, decision.guard)
        seen = await self._executor.observe(self._response, phase, step, decision)
        if seen.state is ActionState.DONE:
            self._facts.learn(step.id, seen.findings)
        return PlannedStep(phase.value, step.id, step.action, "looked", seen.summary, None, decision.parameters)

    async def _option(self, option: Option) -> PlannedOption:
        steps = await self._foreseen(Phase.MITIGATE, option.steps)
        return PlannedOption(option.id, option.summary, conditions.holds(option.when, self._facts), steps)

    async def _foreseen(self, phase: Phase, steps: Sequence[Step]) -> tuple[PlannedStep, ...]:
        return tuple([await self._foresee(phase, step) for step in steps])

    async def _foresee(self, phase: Phase, step: Step) -> PlannedStep:
        # As before the first attempt, or the guard on attempts would hide what the playbook begins with.
        decision = await self._executor.decide(self._response, step, self._facts, 0)
        summary = "; ".join(part for part in (decision.preview or step.why.strip(), decision.reason) if part)
        mode, values = decision.mode.value, decision.parameters
        return PlannedStep(phase.value, step.id, step.action, mode, summary, decision.guard, values)
