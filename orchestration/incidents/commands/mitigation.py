"""Attempts to stop the impact, and how they turn out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.request_fields import Text
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import ApiRoute, CommandSpec, IncidentCommand, PageForm, ShownWhile
from orchestration.incidents.commands.inputs import Input
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open


@dataclass(frozen=True, slots=True)
class BeginMitigation(IncidentCommand):
    """Record what is being tried; it is shown to everyone who is notified from now on."""

    text: Annotated[Text, Input("What is being tried.", label="What you are trying", argument=True)]

    spec: ClassVar = CommandSpec(
        summary="Record what is being tried.",
        console="mitigate",
        api=ApiRoute("mitigate", "mitigate"),
        page=PageForm(
            "mitigate",
            "mitigating",
            "Mitigation recorded on the timeline.",
            title="Record a mitigation",
            button="Record",
            shown=ShownWhile.OPEN,
            order=40,
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Move to mitigating, or record a further attempt."""
        if change.incident.status is IncidentStatus.MITIGATING:
            change.add_entry("mitigation-attempted", action=self.text)
        else:
            change.transition(IncidentStatus.MITIGATING, action=self.text)
        change.set(attempted_actions=(*change.incident.attempted_actions, self.text))
        # Automation that acts has begun to work on the incident, also where its acknowledgement never arrived.
        if not change.actor.human and change.incident.automation_at is None:
            change.set(automation_at=change.now)


@dataclass(frozen=True, slots=True)
class RecordFailedMitigation(IncidentCommand):
    """An attempt did not help; after several of them the next level is notified."""

    reason: str

    spec: ClassVar = CommandSpec(summary="Record that an attempt did not help.")

    def apply(self, change: IncidentChange) -> None:
        """Go back to mitigating and count the failure."""
        if change.incident.status is not IncidentStatus.MITIGATING:
            change.transition(IncidentStatus.MITIGATING, reason=self.reason)
        # The impact goes on after all, so the moment at which it ended is unknown again.
        change.set(failed_attempts=change.incident.failed_attempts + 1, mitigated_at=None)
        change.add_entry("mitigation-failed", reason=self.reason, failed=change.incident.failed_attempts)


@dataclass(frozen=True, slots=True)
class MarkMitigated(IncidentCommand):
    """The impact has stopped; whether for good is still to be verified."""

    how: str

    spec: ClassVar = CommandSpec(summary="Record that the impact has stopped.")

    def apply(self, change: IncidentChange) -> None:
        """Stop the clock of the impact."""
        require_open(change.incident, "mark as mitigated")
        if change.incident.mitigated_at is not None:
            raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{change.incident.id} is mitigated already")
        change.set(mitigated_at=change.now)
        change.add_entry("mitigated", how=self.how)


@dataclass(frozen=True, slots=True)
class BeginVerification(IncidentCommand):
    """Watch whether the mitigation holds."""

    how: str = ""

    spec: ClassVar = CommandSpec(summary="Begin to verify that the mitigation holds.")

    def apply(self, change: IncidentChange) -> None:
        """Move to verifying."""
        change.transition(IncidentStatus.VERIFYING, how=self.how)
        change.set(mitigated_at=change.incident.mitigated_at or change.now)
