"""How an incident ends, and what is owed afterwards. Pure. Each raises RefusedError where it cannot be done."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.escalation import RECORD_SECONDS, REVIEW_SECONDS
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal, ReviewField
from orchestration.notifications.notice import NoticeKind

_RECORD_FIELDS = (ReviewField.RESOLUTION, ReviewField.WORKAROUNDS)


def resolve(turn: IncidentChange, resolution: str, root_cause: str = "") -> None:
    """The trouble is over: pages stop, everybody who was told is told, the watch and the duties begin."""
    incident = turn.incident
    was_verifying = incident.status is IncidentStatus.VERIFYING
    turn.transition(IncidentStatus.RESOLVED, resolution=resolution, root_cause=root_cause)
    given = {ReviewField.RESOLUTION: resolution, ReviewField.ROOT_CAUSE: root_cause}
    turn.set(
        mitigated_at=incident.mitigated_at or turn.now,
        verified_at=turn.now if was_verifying else None,
        resolved_at=turn.now,
        clock=replace(incident.clock, resolved_at=turn.now),
        review={**incident.review, **{each: text for each, text in given.items() if text}},
        watched_until=turn.now + timedelta(days=turn.settings.recurrence_days),
        page_due=None,
        update_due=None,
        suppressed_until=None,
    )
    _owe(turn)
    turn.stops_pages = True
    if _is_to_be_told(incident):
        turn.notify_everyone(NoticeKind.RESOLVED, f"resolved-{incident.paging_rounds}")


def cancel(turn: IncidentChange, reason: str) -> None:
    """It was a false alarm."""
    before = turn.incident
    turn.transition(IncidentStatus.CANCELLED, reason=reason)
    turn.set(page_due=None, update_due=None, suppressed_until=None)
    turn.stops_pages = True
    if _is_to_be_told(before):
        turn.notify_everyone(NoticeKind.CANCELLED, "cancelled", reason)


def merge(turn: IncidentChange, into: str) -> None:
    """It is the same trouble as another incident, which goes on for both."""
    turn.transition(IncidentStatus.MERGED, into=into)
    turn.set(merged_into=into, page_due=None, update_due=None, suppressed_until=None)
    turn.stops_pages = True


def write_review(turn: IncidentChange, field: ReviewField, text: str) -> None:
    """Write a part of the review; "none" is an answer, an empty text is not. The first part begins the review."""
    if turn.incident.status is IncidentStatus.RESOLVED and field not in _RECORD_FIELDS:
        turn.transition(IncidentStatus.IN_REVIEW)
    if turn.incident.status not in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW, IncidentStatus.CLOSED):
        raise IncidentRefusedError(
            Refusal.ILLEGAL_MOVE,
            f"expected a resolved incident to review, got {turn.incident.id}, which is {turn.incident.status}",
        )
    turn.set(review={**turn.incident.review, field: text})
    turn.add_entry("review-written", field=field.value, text=text)
    _settle(turn)


def close(turn: IncidentChange) -> None:
    """Everything that is owed has been done."""
    missing = escalation.missing_fields(turn.incident)
    if turn.incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW) and missing:
        names = ", ".join(missing)
        raise IncidentRefusedError(
            Refusal.REVIEW_INCOMPLETE,
            f"expected a complete review to close {turn.incident.id}, got one without {names}; write "
            f'them with: orchestrator incidents review {turn.incident.id} --set {missing[0]}="…"',
        )
    turn.transition(IncidentStatus.CLOSED)
    turn.set(closed_at=turn.now, record_due=None, review_due=None)


def end_watch(turn: IncidentChange) -> None:
    """It has not come back for as long as it was watched."""
    turn.set(watched_until=None)
    turn.add_entry("watch-ended", recurred_as=turn.incident.recurred_as)


def link_recurrence(turn: IncidentChange, later: str) -> None:
    """It has come back as another incident."""
    turn.set(recurred_as=later, watched_until=None)
    turn.add_entry("recurred", incident=later)


def _is_to_be_told(incident: Incident) -> bool:
    """Whoever was told of it is told how it ends, also during maintenance; what was quiet all along ends quietly."""
    return bool(incident.notified) or incident.status is not IncidentStatus.SUPPRESSED


def _owe(turn: IncidentChange) -> None:
    """Remind of the record and the review, unless it was only a drill."""
    if turn.incident.drill:
        return
    turn.set(
        record_due=escalation.first_reminder(turn.now, RECORD_SECONDS),
        review_due=escalation.first_reminder(turn.now, REVIEW_SECONDS),
    )
    _settle(turn)


def _settle(turn: IncidentChange) -> None:
    if not escalation.missing_record(turn.incident):
        turn.set(record_due=None)
    if not escalation.missing_review(turn.incident):
        turn.set(review_due=None)
