"""Actions towards people: remind them of a question, see which channels reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from orchestration.incidents.model import Actor
from orchestration.playbooks.actions import Action, ActionError, Context, Outcome, Parameters, action
from orchestration.playbooks.model import Risk
from orchestration.storage.outbox import Outcome as DeliveryOutcome


class OfRuns(Parameters):
    """Runs by identifier."""

    runs: tuple[str, ...]


class Nothing(Parameters):
    """Takes nothing."""


@action
class Remind(Action[Any]):
    """Remind of an open question."""

    name = "people.remind"
    summary = "send the open questions of these runs again"
    risk = Risk.REVERSIBLE
    parameters = OfRuns
    finds = ("questions",)

    def targets(self, parameters: OfRuns) -> tuple[str, ...]:
        return parameters.runs

    async def run(self, context: Context, parameters: OfRuns) -> Outcome:
        def remind() -> list[str]:
            questions = [one for run in parameters.runs for one in self.handles.approvals.open(run)]
            for question in questions:
                text = f"{question.subject} waits for an answer: {question.question}"
                self.handles.desk.request_approval(context.incident_id, Actor(context.actor), text)
            return [question.question for question in questions]

        questions = await anyio.to_thread.run_sync(remind)
        if not questions:
            raise ActionError("expected a question without an answer, found none")
        return Outcome(f"reminded of {len(questions)} open questions", {"questions": questions}, undo={})

    async def undo(self, context: Context, undo: Mapping[str, Any]) -> str:
        return "what was sent cannot be unsent"


@action
class Channels(Action[Any]):
    """See which channels work."""

    name = "people.channels"
    summary = "see which channels fail, and whether anything urgent waits"
    parameters = Nothing
    finds = ("failing", "permanent", "urgent_waiting")

    async def run(self, context: Context, parameters: Nothing) -> Outcome:
        last = await anyio.to_thread.run_sync(self.handles.outbox.last_deliveries)
        failing = sorted(name for name, delivery in last.items() if delivery.outcome is not DeliveryOutcome.SENT)
        permanent = sorted(name for name, delivery in last.items() if delivery.outcome is DeliveryOutcome.FAILED)
        waiting = (await anyio.to_thread.run_sync(self.handles.outbox.backlog, context.now)).count
        says = f"failing: {', '.join(failing) or 'none'}; {waiting} urgent messages wait"
        return Outcome(says, {"failing": failing, "permanent": permanent, "urgent_waiting": waiting})
