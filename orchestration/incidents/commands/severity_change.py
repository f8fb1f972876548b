"""Changing the severity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.domain.severity import Severity
from orchestration.incidents import lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal
from orchestration.incidents.severity import SeverityReason


@dataclass(frozen=True, slots=True)
class ChangeSeverity(IncidentCommand):
    """Raise or lower the severity. Automation may raise it; only a person may lower it."""

    severity: Annotated[
        Severity,
        Input("The new severity.", label="New severity", argument=True, choices=Choices.SEVERITIES),
    ]
    reason: Annotated[Text, Input("Why; kept on the timeline.", label="Reason")]

    spec: ClassVar = CommandSpec(
        summary="Raise or lower the severity.",
        console="severity",
        api=ApiRoute("set_severity", "severity"),
        page=PageForm(
            "severity",
            "severity",
            "Severity changed.",
            title="Change severity",
            button="Change",
            shown=ShownWhile.OPEN,
            order=80,
            undo="change it back",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Recompute the targets from the original start, and notify."""
        present = change.incident.severity
        if self.severity is present:
            raise IncidentRefusedError(
                Refusal.ALREADY_DONE, f"the severity of {change.incident.id} is {present} already"
            )
        if not self.severity.worse_than(present) and not change.actor.human:
            raise IncidentRefusedError(
                Refusal.ONLY_A_PERSON, f"expected a person to lower a severity, got {change.actor}"
            )
        lifecycle.change_severity(change, self.severity, SeverityReason.DECLARED, self.reason)
