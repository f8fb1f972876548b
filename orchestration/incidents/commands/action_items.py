"""Action items: what is to be done so that an incident does not happen again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import ActionItem, IncidentRefusedError, Refusal


@dataclass(frozen=True, slots=True)
class AddActionItem(IncidentCommand):
    """Add something to be done so that the incident does not happen again."""

    text: Annotated[Text, Input("What is to be done.")]
    owner: Annotated[Text, Input("Who does it.")]
    due: Annotated[date, Input("By when.")]

    spec: ClassVar = CommandSpec(
        summary="Add an action item: what is to be done so that it does not happen again.",
        console="actions",
        composite=True,
        api=ApiRoute("add_action", "actions", status=201),
        page=PageForm("action", "action-added", "Action item added."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Add it under the next number."""
        # Items are never removed, so the next number is always free.
        item = ActionItem(len(change.incident.actions) + 1, self.text, self.owner, self.due)
        change.set(actions=(*change.incident.actions, item))
        change.add_entry("action-added", number=item.number, text=self.text, owner=self.owner, due=self.due.isoformat())
        change.notify_of_item(item)


@dataclass(frozen=True, slots=True)
class CompleteActionItem(IncidentCommand):
    """Mark an action item as done."""

    number: Annotated[int, Field(ge=1, le=100_000), Input("The number of the action item.", in_path=True)]

    spec: ClassVar = CommandSpec(
        summary="Mark an action item as done.",
        console="actions",
        composite=True,
        api=ApiRoute("finish_action", "actions/{number}/done"),
        page=PageForm("action-done", "action-done", "Action item marked as done."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record who did it, and when."""
        items = change.incident.actions
        found = next((item for item in items if item.number == self.number), None)
        if found is None:
            numbers = ", ".join(str(item.number) for item in items) or "none"
            raise IncidentRefusedError(
                Refusal.NO_SUCH_ACTION, f"expected an action item ({numbers}), got {self.number}"
            )
        if found.done_at is not None:
            raise IncidentRefusedError(
                Refusal.ALREADY_DONE, f"action item {self.number} was done by {found.done_by} already"
            )
        done = replace(found, done_at=change.now, done_by=change.actor.name)
        change.set(actions=tuple(done if item is found else item for item in items))
        change.add_entry("action-done", number=self.number, text=found.text)
        change.notify_of_item(done)
