"""Cancelling a false alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.request_fields import Text
from orchestration.incidents import followup
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.notifications.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class CancelIncident(IncidentCommand):
    """The incident was a false alarm."""

    reason: Annotated[Text, Input("Why; kept on the timeline.", label="Reason")]

    spec: ClassVar = CommandSpec(
        summary="Cancel a false alarm; the same problem stays quiet for a day.",
        console="cancel",
        api=ApiRoute("cancel", "cancel"),
        page=PageForm(
            "cancel",
            "cancelled-incident",
            "Incident cancelled as a false alarm.",
            title="False alarm",
            button="Mark as a false alarm",
            shown=ShownWhile.OPEN,
            order=100,
            undo="none; should it be real after all, declare it anew",
            danger=True,
            explanation="The incident is cancelled, and the same alert opens no new one for a day.",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """End it without any follow-up."""
        # Whether the end is announced depends on the status that the transition below replaces.
        before = change.incident
        change.transition(IncidentStatus.CANCELLED, reason=self.reason)
        change.stop_timers()
        if followup.is_announced(before):
            change.notify_everyone(NoticeKind.CANCELLED, "cancelled", self.reason)
