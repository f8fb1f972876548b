"""Snoozing an incident: its pages are held for a while."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Moment, OptionalText
from orchestration.errors import UsageError
from orchestration.incidents import attention
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open

# What is to be quiet for longer needs a silence with an owner, or a decision about the alert.
_LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Snooze(IncidentCommand):
    """A person wants no pages about the incident until a moment. Whoever has it, has it still."""

    until: Annotated[
        Moment, Input("For how long, such as 2h, or until when.", label="Until (UTC)", option="--for", metavar="WHEN")
    ]
    reason: Annotated[OptionalText, Input("Why; kept on the timeline.", label="Reason", hint="if it helps others")] = ""

    spec: ClassVar = CommandSpec(
        summary="Hold back the pages of the incident for a while; they resume by themselves, at once if it gets worse.",
        console="snooze",
        api=ApiRoute("snooze", "snooze"),
        page=PageForm(
            "snooze",
            "snoozed",
            "Snoozed. Nobody is paged for it until then, unless it gets worse.",
            title="Snooze",
            button="Snooze",
            shown=ShownWhile.OPEN,
            order=65,
            undo="end the snooze",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Hold the pages, also those that have not been sent. Raises UsageError for an impossible time."""
        require_open(change.incident, "snooze")
        if not change.actor.human:
            raise IncidentRefusedError(Refusal.ONLY_A_PERSON, f"expected a person to snooze it, got {change.actor}")
        if not change.now < self.until <= change.now + _LONGEST:
            raise UsageError(
                f"expected an end of the snooze within {_LONGEST.days} days from now, got "
                f"{self.until:%Y-%m-%d %H:%M} UTC; for longer use a silence"
            )
        change.add_entry("snoozed", until=self.until.isoformat(), reason=self.reason)
        change.set(snoozed_until=self.until, snoozed_by=change.actor.name)
        change.stops_pages = True


@dataclass(frozen=True, slots=True)
class Wake(IncidentCommand):
    """End a snooze before its time."""

    spec: ClassVar = CommandSpec(
        summary="End the snooze of the incident now.",
        console="wake",
        api=ApiRoute("wake", "wake"),
        page=PageForm(
            "wake",
            "woken",
            "The snooze has ended. Paging goes on.",
            title="End the snooze",
            button="End the snooze",
            shown=ShownWhile.SNOOZED,
            order=66,
            undo="snooze it again",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Let the pages go on."""
        require_open(change.incident, "wake")
        if change.incident.snoozed_until is None:
            raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{change.incident.id} is not snoozed")
        attention.wake(change, "a person has ended the snooze")
