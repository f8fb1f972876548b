"""Acknowledging an incident."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import IncidentRefusedError, Refusal, describe_actor, require_open
from orchestration.notifications.notice import NoticeKind

_UNATTENDED = (IncidentStatus.DETECTED, IncidentStatus.REOPENED)


@dataclass(frozen=True, slots=True)
class Acknowledge(IncidentCommand):
    """A person takes responsibility and every page stops; automation only records that it has started."""

    spec: ClassVar = CommandSpec(
        summary="Acknowledge the incident: paging stops at once.",
        console="ack",
        api=ApiRoute("acknowledge", "acknowledge"),
        page=PageForm("acknowledge", "acknowledged", "Incident acknowledged. Paging has stopped."),
    )

    def apply(self, change: IncidentChange) -> None:
        """Stop the response clock and the pages, and tell everyone who was notified."""
        incident = change.incident
        require_open(incident, "acknowledge")
        if not change.actor.human:
            _acknowledge_automatically(change)
            return
        if incident.acknowledged:
            by = describe_actor(incident.acknowledged_by)
            raise IncidentRefusedError(Refusal.ALREADY_DONE, f"{incident.id} was acknowledged by {by} already")
        seconds = round((change.now - incident.clock.started_at).total_seconds(), 1)
        if incident.status in _UNATTENDED:
            change.transition(IncidentStatus.ACKNOWLEDGED, after_seconds=seconds)
        else:
            change.add_entry("acknowledged", after_seconds=seconds)
        change.set(
            # The clock is that of the current SLA record; MTTA counts the first acknowledgement of all.
            # One that was forgotten has met its target all the same, or has not.
            clock=replace(incident.clock, acknowledged_at=incident.clock.acknowledged_at or change.now),
            lapsed_at=None,
            acknowledged_at=incident.acknowledged_at or change.now,
            acknowledged_by=change.actor.name,
            page_due=None,
        )
        change.stops_pages = True
        reason = f"{describe_actor(change.actor.name)} has it"
        change.notify_everyone(NoticeKind.ACKNOWLEDGED, f"ack-{incident.paging_rounds}", reason)


def _acknowledge_automatically(change: IncidentChange) -> None:
    # Pages go on: the response target counts people, and a playbook that is running has not helped yet.
    if change.incident.automation_at is not None:
        raise IncidentRefusedError(Refusal.ALREADY_DONE, f"automation has taken {change.incident.id} already")
    change.set(automation_at=change.now)
    change.add_entry("acknowledged-automatically")
