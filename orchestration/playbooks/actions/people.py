"""Actions towards people: remind them of a question, check which channels reach them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import anyio.to_thread

from orchestration.domain.subject_kind import SubjectKind
from orchestration.incidents.commands.approval_request import RequestApproval
from orchestration.incidents.model import Actor
from orchestration.notifications.recipients import substitutes
from orchestration.playbooks.actions import (
    Action,
    ActionContext,
    ActionError,
    ActionOutcome,
    NoParameters,
    Parameters,
    ReversibleAction,
    UndoState,
    action,
)
from orchestration.playbooks.model import Mode, Risk
from orchestration.storage.outbox import Outbox, OutboxRow, OutboxState, SendOutcome

# The key in a message that names the step which redirected it.
_MARK = "redirected_by"
# A reminder sooner than this only annoys: the question may be on its way.
_AGAIN = timedelta(minutes=5)


class RequiredRuns(Parameters):
    """Runs by identifier; at least one has to be named."""

    runs: tuple[str, ...]


class SomeChannels(Parameters):
    """Channels by name."""

    channels: tuple[str, ...]


@action
class RemindAction(Action[RequiredRuns]):
    """Remind of an open question."""

    name = "people.remind"
    summary = "send the open questions of these runs again"
    risk = Risk.REVERSIBLE
    undo_summary = "nothing: what was sent cannot be unsent"
    finds = ("questions",)

    def targets(self, parameters: RequiredRuns) -> tuple[str, ...]:
        return parameters.runs

    async def run(self, context: ActionContext, parameters: RequiredRuns) -> ActionOutcome:
        questions = await anyio.to_thread.run_sync(self._remind, context, parameters)
        if not questions:
            raise ActionError("expected a question without an answer, found none")
        return ActionOutcome(f"reminded of {len(questions)} open questions", {"questions": questions}, undo={})

    async def undo(self, context: ActionContext, undo: Mapping[str, Any]) -> str:
        return "what was sent cannot be unsent"

    def _remind(self, context: ActionContext, parameters: RequiredRuns) -> list[str]:
        """Send the questions, but none that was sent a moment ago: by us before a crash, or by anybody."""
        said = self.services.incidents.entries(context.incident_id)
        recent = {entry.data.get("question") for entry in said if context.now - entry.at < _AGAIN}
        questions = [one for run in parameters.runs for one in self.services.approvals.list_open(run)]
        for question in questions:
            text = f"{question.subject} waits for an answer: {question.question}"
            if text not in recent:
                self.services.incident_service.execute(context.incident_id, Actor(context.actor), RequestApproval(text))
        return [question.question for question in questions]


@action
class ChannelCheckAction(Action[NoParameters]):
    """See which channels work."""

    name = "people.channels"
    summary = "see which channels fail, and whether anything urgent waits"
    proves = frozenset({SubjectKind.CHANNELS})
    finds = ("failing", "permanent", "urgent_waiting")

    async def run(self, context: ActionContext, parameters: NoParameters) -> ActionOutcome:
        last = await anyio.to_thread.run_sync(self.services.outbox.last_attempts)
        failing = sorted(name for name, delivery in last.items() if delivery.outcome is not SendOutcome.SENT)
        permanent = sorted(name for name, delivery in last.items() if delivery.outcome is SendOutcome.FAILED)
        waiting = len(await anyio.to_thread.run_sync(_untold, self.services.outbox, context.now))
        summary = f"failing: {', '.join(failing) or 'none'}; {waiting} urgent messages have reached nobody yet"
        return ActionOutcome(summary, {"failing": failing, "permanent": permanent, "urgent_waiting": waiting})


class RedirectUndo(UndoState):
    """The outbox keys of the messages that were added."""

    keys: tuple[str, ...]


@action
class RedirectAction(ReversibleAction[SomeChannels, RedirectUndo]):
    """Tell people by their other channels."""

    name = "people.redirect"
    summary = "send what waits on broken channels by the contacts' next channels too"
    risk = Risk.REVERSIBLE
    undo_summary = "what has not gone out yet is withdrawn"
    finds = ("redirected",)

    def targets(self, parameters: SomeChannels) -> tuple[str, ...]:
        return parameters.channels

    async def preview(self, context: ActionContext, parameters: SomeChannels) -> str:
        rows = await anyio.to_thread.run_sync(self._instead, parameters, context.now)
        names = ", ".join(f"{row.named} by {row.channel}" for row in rows) or "nobody"
        return f"tell {names} as well"

    async def run(self, context: ActionContext, parameters: SomeChannels) -> ActionOutcome:
        rows = await anyio.to_thread.run_sync(self._redirect, context, parameters)
        names = ", ".join(f"{row.named} by {row.channel}" for row in rows) or "nobody: nothing waits there"
        undo = RedirectUndo(keys=tuple(row.key for row in rows)).as_json()
        return ActionOutcome(f"told as well: {names}", {"redirected": len(rows)}, undo=undo)

    async def revert(self, context: ActionContext, state: RedirectUndo) -> str:
        count = await anyio.to_thread.run_sync(self.services.outbox.cancel, state.keys, context.now)
        return f"{count} messages were withdrawn; what was sent cannot be unsent"

    def _redirect(self, context: ActionContext, parameters: SomeChannels) -> list[OutboxRow]:
        """Put what is to be sent, marked with our key, so that a repetition finds it again."""
        outbox = self.services.outbox
        before = [row for row in outbox.list_pending() if row.payload.get(_MARK) == context.key]
        rows = [
            replace(row, payload={**row.payload, _MARK: context.key}) for row in self._instead(parameters, context.now)
        ]
        outbox.add(rows)
        return [*before, *rows]

    def _instead(self, parameters: SomeChannels, now: datetime) -> list[OutboxRow]:
        """What is to be sent: for each page that waits, the same on the contact's next channel that works. One that was
        redirected already is not again: its place is taken."""
        outbox, response = self.services.outbox, self.services.configuration().response
        rows = []
        for row in _untold(outbox, now):
            if row.channel in parameters.channels and row.incident_id is not None:
                others = substitutes(row, outbox.list_for_incident(row.incident_id), response, now)
                rows += [other for other in others if other.channel not in parameters.channels]
        return rows


def _untold(outbox: Outbox, now: datetime) -> list[OutboxRow]:
    """Pages that are due and have not gone out, to contacts whom the same page has not reached by another channel."""
    # One that was tried already is due again only later, and has reached nobody all the same.
    due = [row for row in outbox.list_pending() if row.stops_on_acknowledge and (row.due_at <= now or row.attempts)]
    return [row for row in due if not _told_otherwise(row, outbox.list_for_incident(str(row.incident_id)))]


def _told_otherwise(row: OutboxRow, siblings: Sequence[OutboxRow]) -> bool:
    return any(
        other.state is OutboxState.SENT
        and set(row.contacts) <= set(other.contacts)
        and other.payload.get("step") == row.payload.get("step")
        for other in siblings
    )


class Instruction(Parameters):
    """What a person is to do, in one sentence."""

    text: str


@action
class DoByHandAction(Action[Instruction]):
    """Suggest something that only a person can do."""

    name = "people.do-by-hand"
    summary = "suggest to a person what to do by hand"
    risk = Risk.REVERSIBLE
    undo_summary = "only by a person, who has done it"

    def at_most(self, parameters: Instruction) -> Mode:
        return Mode.SUGGEST

    async def preview(self, context: ActionContext, parameters: Instruction) -> str:
        return f"to be done by a person: {parameters.text}"

    async def run(self, context: ActionContext, parameters: Instruction) -> ActionOutcome:
        raise ActionError(f"only a person can do this: {parameters.text}")
