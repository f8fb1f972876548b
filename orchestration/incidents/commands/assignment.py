"""Assigning an incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open


@dataclass(frozen=True, slots=True)
class Assign(IncidentCommand):
    """Make a contact responsible for the incident."""

    contact: Annotated[
        str,
        # The form of a contact's id in the configuration. Which ids exist is decided by each incident's own settings.
        Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"),
        Input("The contact's id.", label="Contact", argument=True, choices=Choices.CONTACTS),
    ]

    spec: ClassVar = CommandSpec(
        summary="Assign the incident to a contact.",
        console="assign",
        api=ApiRoute("assign", "assign"),
        page=PageForm(
            "assign",
            "assigned",
            "Incident assigned.",
            title="Assign",
            button="Assign",
            shown=ShownWhile.OPEN,
            order=50,
            undo="assign it to somebody else",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record the new assignee."""
        require_open(change.incident, "assign")
        if change.incident.assignee == self.contact:
            raise IncidentRefusedError(
                Refusal.ALREADY_DONE, f"{change.incident.id} is assigned to {self.contact} already"
            )
        change.add_entry("assigned", **{"from": change.incident.assignee, "to": self.contact})
        change.set(assignee=self.contact)
