"""Closing an incident after its review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import IncidentRefusedError, Refusal


@dataclass(frozen=True, slots=True)
class Close(IncidentCommand):
    """Close the incident; its review must be complete."""

    spec: ClassVar = CommandSpec(
        summary="Close the incident, once its review is complete.",
        console="close",
        api=ApiRoute("close", "close"),
        page=PageForm(
            "close",
            "closed",
            "Incident closed.",
            title="Close",
            button="Close",
            shown=ShownWhile.RESOLVED,
            order=120,
            undo="none: a closed incident stays closed, and the same problem opens a new one",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """Close it, unless something is missing."""
        incident = change.incident
        missing = escalation.missing_fields(incident)
        # In any other status the transition below refuses, with the moves that are possible; the review is not what is
        # missing.
        if incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW) and missing:
            raise IncidentRefusedError(
                Refusal.REVIEW_INCOMPLETE,
                f"the review of {incident.id} is incomplete, so it cannot be closed; missing: {', '.join(missing)}. "
                f'Write them with: orchestrator incidents review {incident.id} --set {missing[0]}="…"',
            )
        change.transition(IncidentStatus.CLOSED)
        change.set(closed_at=change.now, record_due=None, review_due=None)
