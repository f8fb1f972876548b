"""Asking a person before an action: who may answer, until when, and with what in front of them.

A question that nobody answers does not vanish: when it expires the incident is escalated, and the response goes on with
the next way that needs no approval. A question on which nothing hangs, that of a follow-up, outlives its incident, and
wakes nobody when it expires.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.runs import ApprovalRequested
from orchestration.playbooks.execution import PlaybookExecution, StepDecision
from orchestration.playbooks.incident_updates import IncidentUpdates
from orchestration.playbooks.model import Step
from orchestration.storage.approvals import Approval, ApprovalTable

_POLL_SECONDS = 0.3
_PATIENCE = timedelta(hours=1)
_ROLE = "responder"


class ApprovalRequests:
    """Asks and waits; the wait begins again after a restart and finds the question."""

    def __init__(self, table: ApprovalTable, reporting: IncidentUpdates, bus: EventBus, clock: Clock) -> None:
        self._table = table
        self._reporting = reporting
        self._bus = bus
        self._clock = clock

    async def ask(self, response: PlaybookExecution, step: Step, key: str, decision: StepDecision) -> Any:
        """A person's answer: `decision` (approved, denied, expired, overtaken), `by`, `says`."""
        await self.pose(response, step, key, decision)
        return await self._answer(response, key)

    async def pose(self, response: PlaybookExecution, step: Step, key: str, decision: StepDecision) -> None:
        """Ask, once, and wait for nothing."""
        now = self._clock.now()
        approval = Approval(
            id=key,
            subject=response.incident_id,
            question=_question(step, decision),
            created_at=now,
            role=_ROLE,
            expires_at=now + _PATIENCE,
        )
        asked = await anyio.to_thread.run_sync(self._table.ask, approval)
        if asked:
            self._bus.publish(
                ApprovalRequested(incident=response.incident_id, approval=key, question=approval.question)
            )
            await self._reporting.asked(response, approval.question)

    async def answer_to_follow_up(self, response: PlaybookExecution, key: str) -> Any:
        """A person's answer to what was posed, as `ask` gives it, whatever has become of the incident."""
        return await self._answer(response, key, follow_up=True)

    async def _answer(self, response: PlaybookExecution, key: str, *, follow_up: bool = False) -> Any:
        while True:
            approval = await anyio.to_thread.run_sync(self._table.get, key)
            if approval.decision is not None:
                says = f"{approval.decision} by {approval.decided_by}: {approval.reason or 'no reason given'}"
                return {"decision": approval.decision, "by": approval.decided_by, "says": says}
            if not follow_up and (settled := await self._reporting.settled(response)):
                return await self._withdrawn(key, "overtaken", settled)
            if approval.expires_at is not None and self._clock.now() >= approval.expires_at:
                if not follow_up:
                    await self._reporting.unanswered(response, approval.question)
                return await self._withdrawn(key, "expired", "nobody answered in time")
            await self._clock.sleep(_POLL_SECONDS)

    async def _withdrawn(self, key: str, decision: str, says: str) -> Any:
        now = self._clock.now()
        await anyio.to_thread.run_sync(lambda: self._table.withdraw(key, decision, says, now))
        return {"decision": decision, "by": "system", "says": says}


def _question(step: Step, decision: StepDecision) -> str:
    held = f" (held back: {decision.says})" if decision.says else ""
    return f"{step.why.strip() or step.action}{held} It would: {decision.preview}"
