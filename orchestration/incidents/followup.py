"""What follows a resolution: the record, the review, and the watch for a recurrence. Pure."""

from __future__ import annotations

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.escalation import RECORD_SECONDS, REVIEW_SECONDS
from orchestration.incidents.model import Incident


def begin(change: IncidentChange) -> None:
    """Schedule the reminders of the record and the review, unless the incident was only a drill."""
    if change.incident.drill:
        return
    change.set(
        record_due=escalation.first_reminder(change.now, RECORD_SECONDS),
        review_due=escalation.first_reminder(change.now, REVIEW_SECONDS),
    )
    stop_answered_reminders(change)


def stop_answered_reminders(change: IncidentChange) -> None:
    """Stop each reminder of which nothing is missing any more."""
    if not escalation.missing_record(change.incident):
        change.set(record_due=None)
    if not escalation.missing_review(change.incident):
        change.set(review_due=None)


def is_announced(incident: Incident) -> bool:
    """Whether the end of the incident is announced.

    Everyone who was notified learns how it ends, also during maintenance; an incident that was suppressed from the
    start, so that nobody knows of it, ends as quietly.
    """
    return bool(incident.notified) or incident.status is not IncidentStatus.SUPPRESSED


def end_watch(change: IncidentChange) -> None:
    """End the watch: the problem did not come back within the recurrence window."""
    change.set(watched_until=None)
    change.add_entry("watch-ended", recurred_as=change.incident.recurred_as)


def link_recurrence(change: IncidentChange, later: str) -> None:
    """Link the incident as which the problem came back."""
    # The watch has found what it was for; the later incident is watched in turn.
    change.set(recurred_as=later, watched_until=None)
    change.add_entry("recurred", incident=later)
