"""How far a run has come in its plan, from its events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentInterrupted, AgentStarted
from orchestration.events.runs import PlanStarted

# The events that it is made of.
PLAN_KINDS = frozenset({PlanStarted.kind, AgentStarted.kind, AgentFinished.kind, AgentInterrupted.kind})


class StepState(StrEnum):
    """Where one step of a plan is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepProgress:
    """One step of the plan that is executed."""

    agent_run_id: str
    title: str
    state: StepState = StepState.WAITING


def agents_at_work(events: Iterable[Event]) -> frozenset[str]:
    """The agent runs that have started and not ended; what is no agent, such as a run's checks, is not among them."""
    found: set[str] = set()
    for event in events:
        match event.payload:
            case AgentStarted(agent_run_id=name):
                found.add(name)
            case AgentFinished(agent_run_id=name) | AgentInterrupted(agent_run_id=name):
                found.discard(name)
    return frozenset(found)


@dataclass(slots=True)
class PlanProgress:
    """The steps of the plan that was begun last: a review can ask for another round, which is a plan of its own."""

    steps: dict[str, StepProgress] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Iterable[Event]) -> PlanProgress:
        """The progress after these events."""
        progress = cls()
        for event in events:
            progress.update(event)
        return progress

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.state is StepState.DONE for step in self.steps.values())

    def update(self, event: Event) -> None:
        """Note an event."""
        match event.payload:
            # The same plan is begun again when its run goes on in another process: what is done stays done.
            case PlanStarted(steps=steps) if [step.agent_run_id for step in steps] != list(self.steps):
                self.steps = {step.agent_run_id: StepProgress(step.agent_run_id, step.title) for step in steps}
            case AgentStarted(agent_run_id=name):
                self._set(name, StepState.RUNNING)
            case AgentInterrupted(agent_run_id=name):
                self._set(name, StepState.WAITING)
            case AgentFinished(agent_run_id=name, failing=failing):
                self._set(name, StepState.FAILED if failing else StepState.DONE)

    def _set(self, name: str, state: StepState) -> None:
        if (step := self.steps.get(name)) is not None:
            self.steps[name] = StepProgress(name, step.title, state)
