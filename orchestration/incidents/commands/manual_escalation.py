"""Escalating to a level at once, outside the escalation rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.escalation import pages
from orchestration.incidents.model import describe_actor, require_open


@dataclass(frozen=True, slots=True)
class Escalate(IncidentCommand):
    """Notify an escalation level now."""

    level: Annotated[
        int,
        Field(ge=1, le=4),
        Input(
            "1 on-call engineer, 2 technical lead, 3 project manager, 4 security team.",
            label="Level",
            choices=Choices.LEVELS,
            console_default=2,
            remote_argument=True,
        ),
    ]
    reason: Annotated[Text, Input("Why; kept on the timeline.", label="Reason")]

    spec: ClassVar = CommandSpec(
        summary="Notify an escalation level now.",
        console="escalate",
        api=ApiRoute("escalate", "escalate"),
        page=PageForm(
            "escalate",
            "escalated",
            "Incident escalated. The level is being notified.",
            title="Escalate",
            button="Notify this level",
            shown=ShownWhile.OPEN,
            order=20,
            undo="none: a message that was sent stays sent",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Page the level."""
        require_open(change.incident, "escalate")
        # The version makes the step unique, so that the same level can be called again by a later command.
        change.escalate(self.level, self.reason, f"hand{self.level}-{change.incident.version}")


@dataclass(frozen=True, slots=True)
class EscalateUnlessAcknowledged(IncidentCommand):
    """Notify a level, unless a person has acknowledged the incident: they decide whom else to wake. For a P3, which is
    a ticket, nobody is paged."""

    level: int
    reason: str

    spec: ClassVar = CommandSpec(summary="Notify an escalation level, unless the incident is acknowledged.")

    def apply(self, change: IncidentChange) -> None:
        """Page the level, or note why it was not paged."""
        require_open(change.incident, "escalate")
        if not pages(change.incident):
            AddNote(f"nobody was paged, since a P3 is a ticket: {self.reason}").apply(change)
        elif change.incident.pages_are_held:
            AddNote(f"level {self.level} was not paged, since its pages are held: {self.reason}").apply(change)
        elif change.incident.acknowledged:
            by = describe_actor(change.incident.acknowledged_by)
            AddNote(f"level {self.level} was not paged, since {by} has it: {self.reason}").apply(change)
        else:
            Escalate(self.level, self.reason).apply(change)
