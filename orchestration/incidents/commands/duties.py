"""Ending the duties of an incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.duty import DutyState
from orchestration.domain.request_fields import Text
from orchestration.incidents import duties
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import IncidentRefusedError, Refusal, require_open

_Number = Annotated[int, Field(ge=1, le=100_000), Input("The number of the duty.", in_path=True, argument=True)]


@dataclass(frozen=True, slots=True)
class CompleteDuty(IncidentCommand):
    """A duty is done: the credential is rotated, the run recovered, the file checked."""

    number: _Number
    evidence: Annotated[Text, Input("What shows that it is done.", label="What shows that it is done")]

    spec: ClassVar = CommandSpec(
        summary="Mark a duty of the incident as done; the incident cannot be resolved before.",
        console="duty-done",
        api=ApiRoute("complete_duty", "duties/{number}/done"),
        page=PageForm("duty-done", "duty-done", "Duty marked as done."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record who did it, when, and the evidence."""
        require_open(change.incident, "end a duty of")
        duties.end(change, self.number, DutyState.DONE, self.evidence)


@dataclass(frozen=True, slots=True)
class DismissDuty(IncidentCommand):
    """A duty need not be done, for a reason that a person answers for."""

    number: _Number
    reason: Annotated[Text, Input("Why it need not be done.", label="Why it need not be done")]

    spec: ClassVar = CommandSpec(
        summary="Dismiss a duty of the incident, with the reason why it need not be done.",
        console="duty-dismiss",
        api=ApiRoute("dismiss_duty", "duties/{number}/dismiss"),
        page=PageForm("duty-dismiss", "duty-dismissed", "Duty dismissed."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Record who dismissed it, when, and why. Raises IncidentRefusedError for automation."""
        require_open(change.incident, "dismiss a duty of")
        if not change.actor.human:
            raise IncidentRefusedError(Refusal.ONLY_A_PERSON, f"only a person may dismiss a duty, not {change.actor}")
        duties.end(change, self.number, DutyState.DISMISSED, self.reason)
