"""Writing the post-incident review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.request_fields import Text
from orchestration.incidents import followup
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import IncidentRefusedError, Refusal, ReviewField

_RECORD_FIELDS = (ReviewField.RESOLUTION, ReviewField.WORKAROUNDS)
_AT_THE_END = ReviewField.RESOLUTION
_REVIEWABLE = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW, IncidentStatus.CLOSED)


@dataclass(frozen=True, slots=True)
class WriteReview(IncidentCommand):
    """Write one part of the review; the first part beyond the record begins the review."""

    field: Annotated[ReviewField, Input("The part of the review.", in_path=True)]
    text: Annotated[Text, Input('What to write; "none" is an answer.')]

    spec: ClassVar = CommandSpec(
        summary="Write a part of the review.",
        console="review",
        composite=True,
        api=ApiRoute("write_review", "review/{field}", method="PUT"),
        page=PageForm("review", "reviewed", "Section of the review saved."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Store the text, and stop the reminders that it answers."""
        if change.incident.status is IncidentStatus.RESOLVED and self.field not in _RECORD_FIELDS:
            change.transition(IncidentStatus.IN_REVIEW)
        incident = change.incident
        # What ended it can only be said at its end; all else may be written down while people still know it.
        reviewable = incident.status in _REVIEWABLE or (incident.status.is_open and self.field is not _AT_THE_END)
        if not reviewable:
            raise IncidentRefusedError(
                Refusal.ILLEGAL_MOVE,
                f"{incident.id} is {incident.status}; only a resolved incident can be reviewed, and of an open one all "
                f"parts but the {_AT_THE_END}",
            )
        change.write_review({self.field: self.text})
        change.add_entry("review-written", field=self.field.value, text=self.text)
        followup.stop_answered_reminders(change)
