"""Reopening an incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Text
from orchestration.incidents import lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile


@dataclass(frozen=True, slots=True)
class Reopen(IncidentCommand):
    """The problem is back: a new SLA record starts, and everyone is notified again."""

    reason: Annotated[Text, Input("Why; kept on the timeline.", label="Reason")]

    spec: ClassVar = CommandSpec(
        summary="Reopen the incident: the problem is back.",
        console="reopen",
        api=ApiRoute("reopen", "reopen"),
        page=PageForm(
            "reopen",
            "reopened",
            "Incident reopened. Its audience is being notified.",
            title="Reopen",
            button="Reopen",
            shown=ShownWhile.RESOLVED,
            order=110,
            undo="resolve it",
            danger=True,
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Start over. The service makes sure that no newer incident of the same problem is open."""
        lifecycle.reopen(change, self.reason)
