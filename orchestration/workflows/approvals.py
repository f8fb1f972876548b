"""Approvals: a run waits for a person's decision, however long it takes and across restarts."""

from __future__ import annotations

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.errors import OrchestratorError
from orchestration.events import EventBus
from orchestration.events.runs import ApprovalDecided, ApprovalRequested
from orchestration.storage.approvals import Approval, ApprovalTable
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.engine import Flow
from orchestration.workflows.model import StoredRecord

# The decision is written by another process, and SQLite has no notifications. Few runs wait at a time.
_POLL_SECONDS = 0.5


class DeniedError(OrchestratorError):
    """A person denied the approval."""


class ApprovalDecision(StoredRecord):
    """A person's decision on an approval."""

    decision: str
    by: str | None
    reason: str | None


class Approvals:
    """Requests approvals and records decisions."""

    def __init__(self, table: ApprovalTable, runs: Runs, bus: EventBus, clock: Clock) -> None:
        self._table = table
        self._runs = runs
        self._bus = bus
        self._clock = clock

    async def wait(self, flow: Flow, run: Run, question: str, topic: str) -> None:
        """Request an approval and wait for the decision. Raises DeniedError if it is denied."""
        approval = Approval(f"{flow.id}.{topic}", run.id, question, self._clock.now())
        answer = await flow.step("approval", ApprovalDecision, lambda: self._ask_and_wait(approval))
        if answer.decision != "approved":
            raise DeniedError(f"{answer.by} denied it: {answer.reason or 'no reason given'}")

    def decide(self, approval: Approval, *, approved: bool, by: str, reason: str) -> None:
        """Record a person's decision. Raises ConflictError if there is one already."""
        decision = "approved" if approved else "denied"
        self._table.decide(approval.id, decision, by, reason, self._clock.now())
        of_run = approval.subject.startswith("run-")
        decided = ApprovalDecided(decision, reason, incident=None if of_run else approval.subject)
        self._bus.publish(decided, run_id=approval.subject if of_run else None, actor=by)

    async def _ask_and_wait(self, approval: Approval) -> ApprovalDecision:
        """Request and wait in one step, recorded with its decision; after a restart it runs again and finds the
        request."""
        new = await anyio.to_thread.run_sync(self._table.add, approval)
        await self._set_status(
            approval, RunStatus.WAITING, f"waits for approval: {approval.question}", RunHold.APPROVAL
        )
        # Published again after a restart, because the first event may have been lost with the process; `again` prevents
        # a second page.
        self._bus.publish(
            ApprovalRequested(approval=approval.id, question=approval.question, again=not new), run_id=approval.subject
        )
        while (decided := await anyio.to_thread.run_sync(self._table.get, approval.id)).decision is None:
            await self._clock.sleep(_POLL_SECONDS)
        await self._set_status(approval, RunStatus.RUNNING)
        return ApprovalDecision(decision=decided.decision, by=decided.decided_by, reason=decided.reason)

    async def _set_status(
        self, approval: Approval, status: RunStatus, reason: str = "", hold: RunHold | None = None
    ) -> None:
        await anyio.to_thread.run_sync(lambda: self._runs.set_status(approval.subject, status, reason, hold=hold))
