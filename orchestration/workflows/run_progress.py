"""What a run has been set up with and has come to so far. Pure: rebuilt from the recorded steps on a replay."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.config.agents import AgentRole
from orchestration.domain.failure_class import failure_class, failure_label, kind_of_error
from orchestration.domain.run_status import RunEnding
from orchestration.errors import OrchestratorError
from orchestration.storage.runs import Run
from orchestration.workflows import documents
from orchestration.workflows.attempts import AttemptSettings
from orchestration.workflows.model import (
    AgentUsage,
    CommandRecord,
    FailingCheck,
    ProjectBrief,
    ReviewReport,
    RunLimits,
    RunPlan,
    StoredRecord,
)
from orchestration.workflows.work_facts import RunFacts

_LEAST_SECONDS = 0.1


class AgentFailedError(OrchestratorError):
    """An agent failed, and the run cannot continue without its result."""

    def __init__(self, agent: str, failing: FailingCheck, message: str) -> None:
        super().__init__(message)
        self.agent = agent
        self.failing = failing


class LimitReachedError(OrchestratorError):
    """The run has used up what it may use."""


class RunTimeLimitError(OrchestratorError):
    """The run has used up its working time."""


# The option of a run in which the rounds are that people have added since it was not approved.
EXTRA_ROUNDS = "extra_review_rounds"


class WorkflowMember(StoredRecord):
    """One agent's part in this run."""

    id: str
    role: AgentRole
    output: str


class RunSetup(StoredRecord):
    """The settings of a run: those that it started with, and from a later `attempt` on the limits in force then. Edits
    of the configuration change them at no other time."""

    added = ("attempt", "brief")

    levels: tuple[tuple[WorkflowMember, ...], ...]
    baseline: str
    seconds: float | None
    model_calls: int | None = None
    review_rounds: int
    parallel_steps: int
    checks: tuple[tuple[str, ...], ...]
    approve: tuple[str, ...]
    attempt: int = 1
    brief: ProjectBrief = ProjectBrief()

    @property
    def limits(self) -> RunLimits:
        return RunLimits(seconds=self.seconds, model_calls=self.model_calls)

    def renewed(self, settings: AttemptSettings) -> RunSetup:
        """With the settings of another attempt; from this attempt, only limits that were raised meanwhile count."""
        limits, rounds = settings.limits, settings.review_rounds
        if settings.attempt == self.attempt:
            limits, rounds = self.limits.raised_to(limits), self.review_rounds
        return self.model_copy(
            update={
                "seconds": limits.seconds,
                "model_calls": limits.model_calls,
                "review_rounds": rounds,
                "attempt": settings.attempt,
                "baseline": settings.baseline or self.baseline,
            }
        )


@dataclass(frozen=True, slots=True)
class ArtifactText:
    """What an agent delivers; of a patch that is too long for a text, the snapshots that it is between."""

    text: str
    agent: str
    patch: tuple[str, str] | None = None


class RunProgress:
    """The results of the run so far; rebuilt from the recorded steps when the flow is replayed."""

    def __init__(self, setup: RunSetup) -> None:
        self.setup = setup
        self.context: dict[str, str] = {}
        self.use = AgentUsage()
        self.plan: RunPlan | None = None
        # The text and the author of each artifact, as it was last written.
        self.delivered: dict[str, ArtifactText] = {}
        # What has really happened: the commands and tool calls of all executions, and the workspace after the last.
        self.commands: tuple[CommandRecord, ...] = ()
        self.facts: RunFacts | None = None
        self.tree = ""
        # The planner found nothing to do.
        self.idle = False
        # The last review of each reviewer, the steps that the last execution did not finish, and the checks that
        # failed.
        self.reviews: dict[str, ReviewReport] = {}
        self.undone: tuple[str, ...] = ()
        self.failed_checks: tuple[str, ...] = ()
        # How the run ended before it came to its last agent; None while it goes on.
        self.ended: tuple[RunEnding, str] | None = None
        self.failed: AgentFailedError | None = None
        self.failure: str | None = None

    def seconds_left(self) -> float | None:
        limit = self.setup.seconds
        return None if limit is None else max(_LEAST_SECONDS, limit - self.use.seconds)

    def model_calls_left(self) -> int | None:
        limit = self.setup.model_calls
        return None if limit is None else max(0, limit - self.use.model_calls)

    def used_up(self) -> OrchestratorError | None:
        """Which limit of the run is used up, if one is.

        Model calls are a budget, and to have used it up is an outcome of the work; more time may be what a slow or
        hanging run needs, so that this is a failure.
        """
        if self.model_calls_left() == 0:
            return LimitReachedError(f"not finished within the {self.setup.model_calls} model calls that the run has")
        if self.setup.seconds is not None and self.use.seconds >= self.setup.seconds:
            return RunTimeLimitError(
                f"not finished within the {self.setup.seconds:g} s of working time that the run has"
            )
        return None

    def end(self, ending: RunEnding, reason: str, error: str = "") -> None:
        """Record that the run ends here; `error` is the type of the error that ended it."""
        if ending is RunEnding.STEP_FAILED and not failure_class(kind_of_error(error)).is_malfunction:
            ending = RunEnding.LIMIT_REACHED
        self.ended = (ending, reason)
        self.failure = failure_label(kind_of_error(error), error) if error else None

    def fail(self, error: AgentFailedError) -> None:
        """Record that the run ends because of an agent."""
        self.failed = error
        malfunction = error.failing.is_malfunction
        self.end(RunEnding.AGENT_FAILED if malfunction else RunEnding.LIMIT_REACHED, str(error))
        self.failure = error.failing.failure

    def rounds(self, run: Run) -> int:
        """How often the work may go back to the executor: as configured, and as often as people have added since."""
        return self.setup.review_rounds + int(run.options.get(EXTRA_ROUNDS, 0))

    def changes_wanted(self) -> tuple[ReviewReport, ...]:
        """The reviews that do not approve, or what contradicts those that do."""
        wanted = tuple(review for review in self.reviews.values() if review.verdict != "approved")
        if wanted or not self.reviews or not self.objections():
            return wanted
        return (documents.contradiction(self.objections()),)

    @property
    def changed(self) -> bool:
        """Whether the workspace differs from what the run began with."""
        return self.facts is not None and bool(self.facts.patch.strip())

    def objections(self) -> tuple[str, ...]:
        """What speaks against the claim that the work is done."""
        return self.facts.objections if self.facts else ()

    def verdict(self) -> str | None:
        """The verdict of all reviewers together; None if there was no review."""
        return next((review.verdict for review in (*self.changes_wanted(), *self.reviews.values())), None)
