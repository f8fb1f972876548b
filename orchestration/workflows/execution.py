"""The flow that executes a plan: its steps in waves, each step by an agent of its own."""

from __future__ import annotations

from orchestration.workflows import graph
from orchestration.workflows.engine import Flow, FlowKind
from orchestration.workflows.model import (
    AgentResult,
    AgentTask,
    AgentUsage,
    CommandRecord,
    FailingCheck,
    PlanStep,
    StepReport,
    StoredRecord,
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


async def body(flow: Flow, execution: ExecutionTask) -> AgentResult:
    """Run the waves one after the other; stop after the first in which an agent failed."""
    entries: list[ExecutedStep] = []
    commands: list[CommandRecord] = []
    use = AgentUsage()
    failing: FailingCheck | None = None
    # Steps that name the same file never share a wave: their agents would overwrite each other's changes.
    for wave in graph.waves(execution.steps, execution.parallel):
        if execution.task.seconds is not None and use.seconds >= execution.task.seconds:
            failing = FailingCheck(kind="time_limit", message=f"the working time is used up before step {wave[0].id}")
            break
        results = await _wave(flow, execution.task, wave, use)
        use = use.plus(side_by_side(result.use for result in results))
        for step, result in zip(wave, results, strict=True):
            commands.extend(result.commands)
            if result.failing is not None:
                failing = FailingCheck(kind=result.failing.kind, message=f"step {step.id}: {result.failing.message}")
            else:
                entries.append(ExecutedStep(step=step, report=StepReport.model_validate(result.output)))
        if failing is not None:
            break
    output = None if failing else ExecutionPlan(entries=tuple(entries)).model_dump(mode="json")
    return AgentResult(output=output, failing=failing, use=use, commands=tuple(commands))


async def _wave(flow: Flow, task: AgentTask, wave: tuple[PlanStep, ...], used: AgentUsage) -> list[AgentResult]:
    seconds = None if task.seconds is None else max(_LEAST_SECONDS, task.seconds - used.seconds)
    calls = None if task.model_calls is None else max(0, task.model_calls - used.model_calls)
    children = [
        await flow.start(
            AGENT,
            f"{flow.id}.{step.id}",
            task.model_copy(update={"step": step, "seconds": seconds, "model_calls": calls}),
        )
        for step in wave
    ]
    return [await flow.result(child) for child in children]
