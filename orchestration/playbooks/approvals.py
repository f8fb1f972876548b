"""Asking a person before an action: who may answer, until when, and what the question says.

An unanswered question does not vanish: when it expires, the incident is escalated, and the response goes on with the
next option that needs no approval. A follow-up question, which holds nothing up, outlives its incident and wakes nobody
when it expires. A lasting question, about something that does not pass by itself, is escalated too, follow-up or not,
and stays open for as long as its incident is.
"""

from __future__ import annotations

from datetime import timedelta

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.runs import ApprovalRequested
from orchestration.playbooks.execution import PlaybookExecution
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.model import Step
from orchestration.playbooks.step_results import ApprovalOutcome, ApprovalReply, StepDecision
from orchestration.storage.approvals import Approval, ApprovalTable

# The answer may be written by another process (console, API), so the table is polled; a person does not notice 0.3 s.
_POLL_SECONDS = 0.3
_EXPIRES_AFTER = timedelta(hours=1)
_ROLE = "responder"


class ApprovalRequests:
    """Asks and waits. Asking again after a restart finds the question that is open already."""

    def __init__(self, table: ApprovalTable, updates: IncidentUpdates, bus: EventBus, clock: Clock) -> None:
        self._table = table
        self._updates = updates
        self._bus = bus
        self._clock = clock

    async def ask(self, execution: PlaybookExecution, step: Step, key: str, decision: StepDecision) -> ApprovalReply:
        """Ask for approval of a step, and wait for the answer."""
        await self.post(execution, step, key, decision)
        return await self._wait(execution, key)

    async def post(self, execution: PlaybookExecution, step: Step, key: str, decision: StepDecision) -> None:
        """Ask once, without waiting."""
        now = self._clock.now()
        approval = Approval(
            id=key,
            subject=execution.incident_id,
            question=_question(step, decision),
            created_at=now,
            role=_ROLE,
            expires_at=None if decision.lasting else now + _EXPIRES_AFTER,
        )
        # For a new question only: a step that is repeated after a crash must not notify people twice.
        if await anyio.to_thread.run_sync(self._table.add, approval):
            self._bus.publish(
                ApprovalRequested(incident=execution.incident_id, approval=key, question=approval.question)
            )
            await self._updates.approval_requested(execution, approval.question)

    async def wait_for_follow_up(self, execution: PlaybookExecution, key: str) -> ApprovalReply:
        """Wait for the answer to a posted question: a lasting one as long as the incident is open, another one whatever
        has become of it."""
        return await self._wait(execution, key, follow_up=True)

    async def _wait(self, execution: PlaybookExecution, key: str, *, follow_up: bool = False) -> ApprovalReply:
        reminded = False
        while True:
            approval = await anyio.to_thread.run_sync(self._table.get, key)
            if approval.decision is not None:
                return _answer(approval)
            # The answer comes first: one that was given in the last moment counts, although the incident is settled
            # now.
            lasting = approval.expires_at is None
            if (lasting or not follow_up) and (settled := await self._updates.settled(execution)):
                return await self._withdraw(key, ApprovalOutcome.SUPERSEDED, settled)
            overdue = self._clock.now() >= approval.created_at + _EXPIRES_AFTER
            if overdue and lasting and not reminded:
                reminded = True
                await self._updates.approval_expired(execution, approval.question)
            if overdue and not lasting:
                if not follow_up:
                    # Before it is withdrawn: after a crash in between, a withdrawn question would look answered and
                    # never escalate.
                    await self._updates.approval_expired(execution, approval.question)
                return await self._withdraw(key, ApprovalOutcome.EXPIRED, "nobody answered in time")
            await self._clock.sleep(_POLL_SECONDS)

    async def _withdraw(self, key: str, outcome: ApprovalOutcome, summary: str) -> ApprovalReply:
        now = self._clock.now()
        await anyio.to_thread.run_sync(lambda: self._table.withdraw(key, outcome.value, summary, now))
        return ApprovalReply(outcome, "system", summary)


def _answer(approval: Approval) -> ApprovalReply:
    by = str(approval.decided_by)
    summary = f"{approval.decision} by {by}: {approval.reason or 'no reason given'}"
    return ApprovalReply(ApprovalOutcome(str(approval.decision)), by, summary)


def _question(step: Step, decision: StepDecision) -> str:
    held = f" (held back: {decision.reason})" if decision.reason else ""
    return f"{step.why.strip() or step.action}{held} It would: {decision.preview}"
