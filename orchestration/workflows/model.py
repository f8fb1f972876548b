"""What flows hand to agents and get back. Everything here goes through the engine's store as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestration.config.schema import AgentRole
from orchestration.domain.run_status import RunStatus


class StoredRecord(BaseModel):
    """A value that is checkpointed: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelAnswer(BaseModel):
    """A value that a model writes: keys that were not asked for are dropped rather than held against it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlanStep(ModelAnswer):
    """One piece of work that an executor can do by itself."""

    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    title: str = Field(min_length=1, max_length=300)
    instructions: str
    files: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    done_when: str = ""


class RunPlan(ModelAnswer):
    """What the planner makes of a goal."""

    summary: str
    steps: tuple[PlanStep, ...] = Field(min_length=1, max_length=50)
    risks: tuple[str, ...] = ()


class StepReport(ModelAnswer):
    """What an executor says about the step it worked on."""

    summary: str
    done: bool
    notes: tuple[str, ...] = ()


class ReviewFinding(ModelAnswer):
    """One remark of a reviewer."""

    severity: Literal["blocker", "major", "minor", "note"]
    message: str
    file: str | None = None
    line: int | None = None


class ReviewReport(ModelAnswer):
    """A reviewer's judgement."""

    verdict: Literal["approved", "changes_requested"]
    summary: str
    findings: tuple[ReviewFinding, ...] = ()


class TextAnswer(ModelAnswer):
    """What a worker without a role of its own delivers."""

    text: str


class CommandRecord(StoredRecord):
    """A command that was run on the way, as evidence."""

    command: tuple[str, ...]
    exit_code: int | None
    output: str


class AgentTask(StoredRecord):
    """What an agent is asked to do. `attempt` counts from 1; `context` holds what came before, by artifact name;
    `seconds` and `model_calls` are what is left of the run's."""

    run_id: str
    agent: str
    role: AgentRole
    goal: str
    step: PlanStep | None = None
    context: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None
    model_calls: int | None = None
    attempt: int = 1


class AgentUsage(StoredRecord):
    """What was used up: active seconds (waiting for a provider not counted), model calls, tokens, money."""

    seconds: float = 0.0
    model_calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    rehearsal: bool = False

    def plus(self, other: AgentUsage) -> AgentUsage:
        """This and then the other."""
        return _sum((self, other), seconds=self.seconds + other.seconds)


def side_by_side(uses: Iterable[AgentUsage]) -> AgentUsage:
    """What was used by work done at the same time, whose seconds do not add up."""
    together = tuple(uses)
    return _sum(together, seconds=max((use.seconds for use in together), default=0.0))


def _sum(uses: Sequence[AgentUsage], seconds: float) -> AgentUsage:
    return AgentUsage(
        seconds=seconds,
        model_calls=sum(use.model_calls for use in uses),
        tokens=sum(use.tokens for use in uses),
        usd=sum(use.usd for use in uses),
        rehearsal=any(use.rehearsal for use in uses),
    )


class FailingCheck(StoredRecord):
    """Why an agent did not deliver. `kind` is stable, for rules; `message` is for people."""

    kind: str
    message: str


class AgentResult(StoredRecord):
    """What an agent delivered, or why it did not."""

    output: dict[str, Any] | None = None
    failing: FailingCheck | None = None
    use: AgentUsage = AgentUsage()
    commands: tuple[CommandRecord, ...] = ()

    @property
    def ok(self) -> bool:
        return self.failing is None


class RunOutcome(StoredRecord):
    """How a run ended."""

    status: RunStatus
    reason: str
    use: AgentUsage
    verdict: str | None
