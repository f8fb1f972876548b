"""Merging two incidents of one problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import conditions, duties, followup, lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, ShownWhile
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal, require_open
from orchestration.incidents.report import MAX_FINGERPRINTS
from orchestration.notifications.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class Merge(IncidentCommand):
    """End this incident in favour of another one about the same problem."""

    into: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9-]{1,64}$"),
        Input("The incident that continues.", label="Merge into", argument=True, choices=Choices.OTHER_INCIDENTS),
    ]

    spec: ClassVar = CommandSpec(
        summary="Merge the incident into another one about the same problem, which continues and is returned.",
        console="merge",
        api=ApiRoute("merge", "merge"),
        page=PageForm(
            "merge",
            "merged",
            "Incidents merged. This is the one that continues.",
            title="Merge",
            button="Merge",
            shown=ShownWhile.OPEN,
            order=90,
            undo="none; declare the other problem anew should it be another one",
            danger=True,
            explanation="Both incidents have the same cause; work continues in the other one.",
        ),
    )

    def apply(self, change: IncidentChange) -> None:
        """End the incident that is merged. The service applies `absorb` to the other one in the same transaction."""
        before = change.incident
        change.transition(IncidentStatus.MERGED, into=self.into)
        change.set(merged_into=self.into)
        change.stop_timers()
        # Paging services keep an alert for each incident. That of a merged one would stay open for good, since from now
        # on only the other incident is reported.
        if followup.is_announced(before):
            change.notify_everyone(NoticeKind.MERGED, "merged", f"it continues as {self.into}")


def absorb(change: IncidentChange, other: Incident) -> None:
    """Take over what another incident affects and whom it has notified. Raises IncidentRefusedError."""
    incident = change.incident
    if incident.id == other.id:
        raise IncidentRefusedError(
            Refusal.INTO_ITSELF, f"{incident.id} cannot be merged into itself; name another incident"
        )
    require_open(incident, "merge into")
    change.set(
        blast_radius=lifecycle.combined(incident.blast_radius, other.blast_radius),
        fingerprints=tuple(dict.fromkeys([*incident.fingerprints, *other.fingerprints]))[:MAX_FINGERPRINTS],
        causes=tuple(dict.fromkeys([*incident.causes, *other.causes])),
        notified=tuple(dict.fromkeys([*incident.notified, *other.notified])),
        # One real problem makes both real: the statistics leave drills out.
        drill=incident.drill and other.drill,
    )
    change.add_entry("took-in", incident=other.id, title=other.title)
    conditions.take_over(change, other)
    duties.take_over(change, other)
    if other.severity.worse_than(change.incident.severity):
        # Severities sort by number, so the least is the worst: better facts of one incident must not hide those of the
        # other.
        change.set(assessed_severity=min(other.assessed_severity, incident.assessed_severity))
        if _is_paged_for(other) and incident.acknowledged and incident.status is not IncidentStatus.SUPPRESSED:
            lifecycle.page_for(change, other)
        else:
            lifecycle.change_severity(change, other.severity, other.severity_reason, f"{other.id} was merged into it")


def _is_paged_for(incident: Incident) -> bool:
    return incident.page_due is not None and not incident.acknowledged
