"""Where a run stands, and how one ended."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run stands. `waiting` and `stopped` go on from their last step when the reason is gone.

    `failed` is a malfunction: something broke, and an incident is opened. `not-approved` and `incomplete` are outcomes
    of the work: everything did what it was configured to do, and the result was judged and refused, or a limit was
    reached before there was one.
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    NOT_APPROVED = "not-approved"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        # Stopped is not among them: a run that was paused has to be found by everything that looks for unfinished work.
        return self in _ENDED

    @property
    def resumable(self) -> bool:
        """Whether a run of this status can be taken up again."""
        return self in _RESUMABLE


class RunEnding(StrEnum):
    """How a run ended by itself. The sentence beside it is for people; programs decide by this."""

    DONE = "done"
    NOTHING_TO_DO = "nothing-to-do"
    CHANGES_REQUESTED = "changes-requested"
    CHECK_FAILED = "check-failed"
    APPROVAL_DENIED = "approval-denied"
    STEPS_NOT_DONE = "steps-not-done"
    LIMIT_REACHED = "limit-reached"
    AGENT_FAILED = "agent-failed"
    STEP_FAILED = "step-failed"
    INTERNAL_ERROR = "internal-error"

    @property
    def status(self) -> RunStatus:
        return _STATUS_OF.get(self, RunStatus.FAILED)


_ENDED = frozenset(
    {
        RunStatus.SUCCEEDED,
        RunStatus.NOT_APPROVED,
        RunStatus.INCOMPLETE,
        RunStatus.FAILED,
        RunStatus.CANCELLED,
    }
)
_RESUMABLE = (_ENDED | {RunStatus.STOPPED}) - {RunStatus.SUCCEEDED}
_STATUS_OF = {
    RunEnding.DONE: RunStatus.SUCCEEDED,
    RunEnding.NOTHING_TO_DO: RunStatus.SUCCEEDED,
    RunEnding.CHANGES_REQUESTED: RunStatus.NOT_APPROVED,
    RunEnding.CHECK_FAILED: RunStatus.NOT_APPROVED,
    RunEnding.APPROVAL_DENIED: RunStatus.NOT_APPROVED,
    RunEnding.STEPS_NOT_DONE: RunStatus.INCOMPLETE,
    RunEnding.LIMIT_REACHED: RunStatus.INCOMPLETE,
}
