"""What flows pass to agents and receive from them. Everything here is stored as JSON by the engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from orchestration.config.agents import AgentRole
from orchestration.domain.failure_class import failure_class, failure_label
from orchestration.domain.run_status import RunEnding, RunStatus


class StoredRecord(BaseModel):
    """A value that is checkpointed: immutable, and strict about its keys.

    `added` names the fields that the first release did not have. They are stored only where they say something, so that
    an earlier release, with which the database may be shared during an upgrade, can still read the rest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    added: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _stored(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = serialize(self)
        fields = type(self).model_fields
        defaults = {name: fields[name].get_default(call_default_factory=True) for name in self.added}
        usual = [name for name, default in defaults.items() if getattr(self, name) == default]
        return {name: value for name, value in values.items() if name not in usual}


class ModelAnswer(BaseModel):
    """A value that a language model writes: unknown keys are dropped, since models like to add some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlanStep(ModelAnswer):
    """One piece of work that an executor can do by itself."""

    # It becomes a part of the identifier of the step's flow, hence the narrow alphabet.
    id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")
    title: str = Field(min_length=1, max_length=300)
    instructions: str
    files: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    done_when: str = ""


class RunPlan(ModelAnswer):
    """The planner's plan for a goal."""

    summary: str
    # None at all if the planner found that the goal is reached already.
    steps: tuple[PlanStep, ...] = Field(max_length=50)
    risks: tuple[str, ...] = ()


class StepReport(ModelAnswer):
    """An executor's report on its step."""

    summary: str
    done: bool
    notes: tuple[str, ...] = ()
    nothing_to_change: bool = Field(default=False, description="true if it is done although no file had to be changed")


class ReviewFinding(ModelAnswer):
    """One finding of a reviewer."""

    severity: Literal["blocker", "major", "minor", "note"]
    message: str
    file: str | None = None
    line: int | None = None


class ReviewReport(ModelAnswer):
    """A reviewer's verdict and findings."""

    verdict: Literal["approved", "changes_requested"]
    summary: str
    findings: tuple[ReviewFinding, ...] = ()


class TextAnswer(ModelAnswer):
    """The result of an agent without a special role."""

    text: str


class CommandRecord(StoredRecord):
    """A command that was run, as evidence."""

    command: tuple[str, ...]
    exit_code: int | None
    output: str


class RunLimits(StoredRecord):
    """The most that a whole run may use; None means no limit."""

    seconds: float | None = None
    model_calls: int | None = None

    def raised_to(self, other: RunLimits) -> RunLimits:
        """The higher of each limit."""
        seconds, calls = (self.seconds, other.seconds), (self.model_calls, other.model_calls)
        return RunLimits(
            seconds=None if None in seconds else max(self.seconds or 0, other.seconds or 0),
            model_calls=None if None in calls else max(self.model_calls or 0, other.model_calls or 0),
        )


class AgentTask(StoredRecord):
    """An agent's task. `attempt` is that of the run, from 1; `context` has the earlier results by artifact name;
    `seconds` and `model_calls` are what is left of the run's limits, which `limits` has in full."""

    added = ("limits",)

    run_id: str
    agent: str
    role: AgentRole
    goal: str
    step: PlanStep | None = None
    context: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None
    model_calls: int | None = None
    attempt: int = 1
    limits: RunLimits = RunLimits()

    def with_limits(self, limits: RunLimits) -> AgentTask:
        """The same task under other limits of its run; what the run had used before counts all the same."""
        calls = _left(self.model_calls, self.limits.model_calls, limits.model_calls)
        return self.model_copy(
            update={
                "seconds": _left(self.seconds, self.limits.seconds, limits.seconds),
                "model_calls": None if calls is None else int(calls),
                "limits": limits,
            }
        )


class ProjectBrief(StoredRecord):
    """What agents are told of a project before they begin: its own instructions, and for planners a map of it."""

    instructions: str = ""
    map: str = ""


class AgentUsage(StoredRecord):
    """Resources used: active seconds (without waiting for a provider), model calls, tokens, money. `cached_tokens` are
    those of the tokens that were read from a vendor's prompt cache."""

    added = ("cached_tokens",)

    seconds: float = 0.0
    model_calls: int = 0
    tokens: int = 0
    usd: float = 0.0
    rehearsal: bool = False
    cached_tokens: int = 0

    def plus(self, other: AgentUsage) -> AgentUsage:
        """The usage of this followed by the other."""
        return _sum((self, other), seconds=self.seconds + other.seconds)


def _left(left: float | None, of: float | None, limit: float | None) -> float | None:
    """What is left of a limit when `left` was left of another one, `of`."""
    if limit is None or left is None or of is None:
        return limit
    return max(0, left + limit - of)


def side_by_side(uses: Iterable[AgentUsage]) -> AgentUsage:
    """The usage of concurrent work, whose seconds do not add up."""
    together = tuple(uses)
    return _sum(together, seconds=max((use.seconds for use in together), default=0.0))


def _sum(uses: Sequence[AgentUsage], seconds: float) -> AgentUsage:
    return AgentUsage(
        seconds=seconds,
        model_calls=sum(use.model_calls for use in uses),
        tokens=sum(use.tokens for use in uses),
        usd=sum(use.usd for use in uses),
        rehearsal=any(use.rehearsal for use in uses),
        cached_tokens=sum(use.cached_tokens for use in uses),
    )


class FailingCheck(StoredRecord):
    """Why an agent failed. `kind` is stable and meant for rules, `error` is the class of an unexpected error; `message`
    is for people."""

    added = ("error",)

    kind: str
    message: str
    error: str = ""

    @property
    def is_malfunction(self) -> bool:
        """Whether something broke. A limit that was reached as configured is an outcome of the work."""
        return failure_class(self.kind).is_malfunction

    @property
    def failure(self) -> str:
        """The class of the failure, as it is shown and compared."""
        return failure_label(self.kind, self.error)


class WorkFacts(StoredRecord):
    """How often an agent used tools, how often in vain, and how often it wrote files with them."""

    calls: int = 0
    failed: int = 0
    changes: int = 0

    def plus(self, other: WorkFacts) -> WorkFacts:
        """Both together."""
        return WorkFacts(
            calls=self.calls + other.calls, failed=self.failed + other.failed, changes=self.changes + other.changes
        )


class AgentResult(StoredRecord):
    """An agent's output, or why it failed. `facts` is None where the agent's tools are not ours to count."""

    added = ("facts",)

    output: dict[str, Any] | None = None
    failing: FailingCheck | None = None
    use: AgentUsage = AgentUsage()
    commands: tuple[CommandRecord, ...] = ()
    facts: WorkFacts | None = None

    @property
    def ok(self) -> bool:
        return self.failing is None


class RunOutcome(StoredRecord):
    """How a run ended. `findings` are what the reviewers still ask for, `comments` the remarks of those who approved,
    and `review` sums up what they say; `agent` is whose work it is, or who failed, and `failure` the class of the
    failure."""

    added = ("ending", "findings", "agent", "failure", "comments", "review")

    status: RunStatus
    reason: str
    use: AgentUsage
    verdict: str | None
    ending: RunEnding | None = None
    findings: tuple[ReviewFinding, ...] = ()
    agent: str | None = None
    failure: str | None = None
    comments: tuple[ReviewFinding, ...] = ()
    review: str = ""

    def record(self) -> dict[str, Any]:
        """What is kept with the run, beside its status and reason."""
        return self.model_dump(mode="json", exclude={"status", "reason"})
