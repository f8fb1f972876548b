"""Events of runs: from the goal to its end, with approvals, schedules and artifacts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.agents import Usage
from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class RunCreated(EventPayload):
    """A run was recorded and is going to start."""

    kind: ClassVar[str] = "run.created"
    template: ClassVar[str] = "created"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    goal: str
    priority: str
    origin: str
    # Rows from before these fields name the schedule in the sentence of `origin` only.
    schedule: str | None = None
    due_at: str | None = None


@dataclass(frozen=True, slots=True)
class RunStarted(EventPayload):
    """A run began: its setup is fixed and its workspace recorded."""

    kind: ClassVar[str] = "run.started"
    template: ClassVar[str] = "started in {workspace}"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    goal: str
    workspace: str


@dataclass(frozen=True, slots=True)
class StepOfPlan:
    """A step of a plan, by the agent run that carries it out."""

    agent_run_id: str
    title: str


@dataclass(frozen=True, slots=True)
class PlanStarted(EventPayload):
    """The steps of a plan are being carried out; said again when the run goes on in another process."""

    kind: ClassVar[str] = "plan.started"

    steps: tuple[StepOfPlan, ...]

    def sentence(self) -> str:
        return f"carries out a plan of {len(self.steps)} {'step' if len(self.steps) == 1 else 'steps'}"


@dataclass(frozen=True, slots=True)
class RunWaiting(EventPayload):
    """A run cannot go on at the moment; `hints` tell people what they can do."""

    kind: ClassVar[str] = "run.waiting"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    reason: str
    hints: tuple[str, ...]

    def sentence(self) -> str:
        # As far in as the times before the lines, so that the hints stand under the sentence.
        return f"waits: {self.reason}" + "".join(f"\n         → {hint}" for hint in self.hints)


@dataclass(frozen=True, slots=True)
class RunContinued(EventPayload):
    """What a run was waiting for has come."""

    # Not `run.resumed`: waiting pauses the clock of the expected time, while a resumption starts it anew.
    kind: ClassVar[str] = "run.continued"
    template: ClassVar[str] = "continues"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class RunResumed(EventPayload):
    """A person or a playbook resumed a run that had stopped; after a failure as another attempt."""

    kind: ClassVar[str] = "run.resumed"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    # None in events of earlier versions.
    attempt: int | None = None
    # The version in force, if the attempt is a new one.
    config_version: int | None = None

    def sentence(self) -> str:
        if self.config_version is None:
            return "resumed"
        return f"resumed (attempt {self.attempt}) with version {self.config_version} of the configuration"


@dataclass(frozen=True, slots=True)
class RunFinished(EventPayload):
    """A run ended by itself; `status` is succeeded, not-approved, incomplete or failed, and `ending` says how."""

    kind: ClassVar[str] = "run.finished"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    status: str
    reason: str
    use: Usage
    verdict: str | None
    # Rows of earlier releases are without the following. `by_agent` is the one whose work was judged or who failed, and
    # `failure` is the class of its failure.
    ending: str | None = None
    by_agent: str | None = None
    failure: str | None = None
    config_version: int | None = None

    def sentence(self) -> str:
        return self.status.replace("-", " ") + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class RunStopped(EventPayload):
    """A run was stopped, to be resumed later."""

    kind: ClassVar[str] = "run.stopped"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    reason: str

    def sentence(self) -> str:
        return "stopped" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class RunCancelled(EventPayload):
    """A run was ended for good before it was done."""

    kind: ClassVar[str] = "run.cancelled"
    level: ClassVar[int] = logging.WARNING
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    reason: str

    def sentence(self) -> str:
        return "cancelled" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class RunChangesApplied(EventPayload):
    """A person brought the changes of a run, `files` of them, into the workspace that it was started on."""

    kind: ClassVar[str] = "run.changes_applied"
    template: ClassVar[str] = "changes applied ({files} files written)"
    about_run: ClassVar[bool] = True

    files: int


@dataclass(frozen=True, slots=True)
class RunChangesDiscarded(EventPayload):
    """A person threw away what a run had changed: its worktree, or `files` in the workspace were put back."""

    kind: ClassVar[str] = "run.changes_discarded"
    template: ClassVar[str] = "changes discarded"
    about_run: ClassVar[bool] = True

    files: int


@dataclass(frozen=True, slots=True)
class WorktreeUpdated(EventPayload):
    """A run that is resumed goes on with what was committed to its workspace since: `files` differ, up to `commit`."""

    kind: ClassVar[str] = "run.updated"
    template: ClassVar[str] = "brought up to date with {commit} ({files} files)"
    about_run: ClassVar[bool] = True

    commit: str
    files: int


@dataclass(frozen=True, slots=True)
class RunForked(EventPayload):
    """A run was begun from step `number` of another, `origin`."""

    kind: ClassVar[str] = "run.forked"
    template: ClassVar[str] = "forked from {origin} at step {number}"
    about_run: ClassVar[bool] = True

    origin: str
    number: int


@dataclass(frozen=True, slots=True)
class RunsRecovered(EventPayload):
    """A process took over flows that another had left behind."""

    kind: ClassVar[str] = "runs.recovered"
    template: ClassVar[str] = "{count} flows recovered"

    count: int


@dataclass(frozen=True, slots=True)
class ScheduleRefused(EventPayload):
    """A planned run could not be begun, or was not allowed to."""

    kind: ClassVar[str] = "schedule.refused"
    template: ClassVar[str] = "schedule {name} could not start its run of {at_time}: {message}"
    level: ClassVar[int] = logging.ERROR

    name: str
    # Not `at`: the run was due then, which may be long before the event.
    at_time: str
    message: str


@dataclass(frozen=True, slots=True)
class CalendarApplied(EventPayload):
    """The schedules of the configuration are in force."""

    kind: ClassVar[str] = "calendar.applied"

    schedules: tuple[str, ...]

    def sentence(self) -> str:
        return f"calendar: {', '.join(self.schedules) or 'no schedules'}"


@dataclass(frozen=True, slots=True)
class ApprovalRequested(EventPayload):
    """A person has to decide, for a run or for an incident. `again` after a restart: nobody is paged twice."""

    kind: ClassVar[str] = "approval.requested"
    template: ClassVar[str] = "waits for approval: {question}"
    about_run: ClassVar[bool] = True
    followed: ClassVar[bool] = True

    approval: str
    question: str
    # The event is published again after a restart, because the first one may have died with its process.
    again: bool | None = None
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class ApprovalDecided(EventPayload):
    """A person has decided."""

    kind: ClassVar[str] = "approval.decided"
    about_run: ClassVar[bool] = True

    decision: str
    reason: str
    incident: str | None = None

    def sentence(self) -> str:
        return f"{self.decision}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, slots=True)
class CheckFinished(EventPayload):
    """A command that checks the result of a run has ended; `exit_code` is None if it was stopped."""

    kind: ClassVar[str] = "check.finished"

    key: str
    command: str
    exit_code: int | None
    seconds: float

    def sentence(self) -> str:
        how = "passed" if self.exit_code == 0 else "was stopped" if self.exit_code is None else "failed"
        return f"the check {self.command} {how}"


@dataclass(frozen=True, slots=True)
class ArtifactWritten(EventPayload):
    """A run has a new artifact, or a new version of one."""

    kind: ClassVar[str] = "artifact.written"
    template: ClassVar[str] = "wrote {name}"
    followed: ClassVar[bool] = True

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtifactRestored(EventPayload):
    """An artifact was lost or altered while its run went on, and was written again at the end."""

    kind: ClassVar[str] = "artifact.restored"
    template: ClassVar[str] = "{name} was {problem}; wrote it again"
    followed: ClassVar[bool] = True

    name: str
    # `missing` or `changed`
    problem: str


@dataclass(frozen=True, slots=True)
class ArtifactRead(EventPayload):
    """A person or a program read an artifact."""

    # For the response to an exposed secret, which has to know who may have seen it.
    kind: ClassVar[str] = "artifact.read"
    template: ClassVar[str] = "artifact {name} was read"

    name: str
