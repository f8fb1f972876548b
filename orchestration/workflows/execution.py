"""The flow that executes a plan: its steps in waves, each step by an agent of its own."""

from __future__ import annotations

from functools import partial

from orchestration.events import EventBus
from orchestration.events.runs import PlanStarted, StepOfPlan
from orchestration.storage.runs import Run, Runs
from orchestration.workflows import graph
from orchestration.workflows.attempts import Attempts, AttemptSettings
from orchestration.workflows.engine import Flow, FlowKind, outlasting
from orchestration.workflows.model import (
    AgentResult,
    AgentTask,
    AgentUsage,
    CommandRecord,
    FailingCheck,
    PlanStep,
    StepReport,
    StoredRecord,
    WorkFacts,
    side_by_side,
)

_LEAST_SECONDS = 0.1


class ExecutionTask(StoredRecord):
    """Plan steps to execute: `task` is what each agent receives beside its step."""

    task: AgentTask
    steps: tuple[PlanStep, ...]
    parallel: int


class ExecutedStep(StoredRecord):
    """A step and what its executor reported."""

    step: PlanStep
    report: StepReport


class ExecutionPlan(StoredRecord):
    """The executed steps and their reports."""

    entries: tuple[ExecutedStep, ...]


AGENT = FlowKind("agent", AgentTask, AgentResult)
EXECUTION = FlowKind("execution", ExecutionTask, AgentResult)


class ExecutionProgress:
    """What the waves so far have brought; rebuilt from the recorded steps when the flow is replayed."""

    def __init__(self, task: AgentTask) -> None:
        self.task = task
        self.entries: list[ExecutedStep] = []
        self.commands: list[CommandRecord] = []
        self.use = AgentUsage()
        self.facts: WorkFacts | None = None
        self.failing: FailingCheck | None = None

    @property
    def time_is_up(self) -> bool:
        return self.task.seconds is not None and self.use.seconds >= self.task.seconds

    def renew(self, settings: AttemptSettings) -> None:
        """Go on with the limits of another attempt; of this attempt, only limits that were raised meanwhile count."""
        same = settings.attempt == self.task.attempt
        limits = self.task.limits.raised_to(settings.limits) if same else settings.limits
        self.task = self.task.with_limits(limits).model_copy(update={"attempt": settings.attempt})

    def add(self, step: PlanStep, result: AgentResult) -> None:
        """Add the result of one step."""
        self.commands.extend(result.commands)
        if result.facts is not None:
            self.facts = result.facts if self.facts is None else self.facts.plus(result.facts)
        if result.failing is not None:
            message = f"step {step.id}: {result.failing.message}"
            self.failing = result.failing.model_copy(update={"message": message})
        else:
            self.entries.append(ExecutedStep(step=step, report=StepReport.model_validate(result.output)))

    def result(self) -> AgentResult:
        """The result of the whole execution."""
        output = None if self.failing else ExecutionPlan(entries=tuple(self.entries)).model_dump(mode="json")
        return AgentResult(
            output=output, failing=self.failing, use=self.use, commands=tuple(self.commands), facts=self.facts
        )


class PlanExecution:
    """Executes the steps of a plan."""

    def __init__(self, runs: Runs, attempts: Attempts, bus: EventBus) -> None:
        self._runs = runs
        self._attempts = attempts
        self._bus = bus

    async def body(self, flow: Flow, execution: ExecutionTask) -> AgentResult:
        """The flow: run the waves one after the other; stop after the first in which an agent failed."""
        run = await outlasting(partial(self._runs.get, execution.task.run_id))
        progress = ExecutionProgress(execution.task)
        steps = tuple(StepOfPlan(_child_id(flow, step), step.title) for step in execution.steps)
        self._bus.publish(PlanStarted(steps), run_id=run.id, agent=execution.task.agent)
        # Steps that name the same file never share a wave: their agents would overwrite each other's changes.
        for wave in graph.waves(execution.steps, execution.parallel):
            await self._renew(flow, run, progress)
            if progress.time_is_up:
                message = f"the working time is used up before step {wave[0].id}"
                progress.failing = FailingCheck(kind="time_limit", message=message)
                break
            results = await _wave(flow, progress.task, wave, progress.use)
            progress.use = progress.use.plus(side_by_side(result.use for result in results))
            for step, result in zip(wave, results, strict=True):
                progress.add(step, result)
            if progress.failing is not None:
                break
        return progress.result()

    async def _renew(self, flow: Flow, run: Run, progress: ExecutionProgress) -> None:
        """Take the limits of the run's present attempt where an earlier one had not been yet, or the time is up."""
        used_up = progress.time_is_up
        while settings := await self._attempts.renewed(flow, run, progress.task.attempt, used_up=used_up):
            progress.renew(settings)
            used_up = False


async def _wave(flow: Flow, task: AgentTask, wave: tuple[PlanStep, ...], used: AgentUsage) -> list[AgentResult]:
    seconds = None if task.seconds is None else max(_LEAST_SECONDS, task.seconds - used.seconds)
    calls = None if task.model_calls is None else max(0, task.model_calls - used.model_calls)
    children = [
        await flow.start(
            AGENT,
            _child_id(flow, step),
            task.model_copy(update={"step": step, "seconds": seconds, "model_calls": calls}),
        )
        for step in wave
    ]
    return [await flow.result(child) for child in children]


def _child_id(flow: Flow, step: PlanStep) -> str:
    return f"{flow.id}.{step.id}"
