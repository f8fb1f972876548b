"""What is said of an incident at a moment: the notice from which every text and payload is made. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestration.incidents.escalation import REVIEW_SECONDS, pages
from orchestration.incidents.model import Incident, IncidentStatus, ReviewField
from orchestration.incidents.turn import Telling
from orchestration.notifications.notice import Notice, NoticeKind

_INVESTIGATING = (IncidentStatus.DETECTED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.REOPENED)


def notice(incident: Incident, telling: Telling, url: str = "") -> Notice:
    """The notice of one telling. `url` is where the incident can be seen."""
    return Notice(
        kind=telling.kind,
        incident_id=incident.id,
        severity=incident.severity,
        scenario=incident.scenario,
        title=incident.title,
        status=status_word(incident),
        impact=incident.impact or touched(incident),
        started_at=incident.impact_started_at or incident.detected_at,
        detected_at=incident.detected_at,
        eta=incident.eta,
        details=incident.summary,
        next_update=incident.update_due,
        duration=duration(incident),
        root_cause=incident.review.get(ReviewField.ROOT_CAUSE, ""),
        resolution=incident.review.get(ReviewField.RESOLUTION, ""),
        review=_review(incident) if telling.kind is NoticeKind.RESOLVED else "",
        reason=telling.reason,
        tried=incident.tried,
        to_do=to_do(incident),
        url=url,
        drill=incident.drill,
    )


def status_word(incident: Incident) -> str:
    """The state in the playbook's capitals."""
    return "INVESTIGATING" if incident.status in _INVESTIGATING else incident.status.value.upper()


def touched(incident: Incident) -> str:
    """What it touches, by name; empty where nothing is known of that."""
    blast = incident.blast
    kinds = (("agents", blast.agents), ("providers", blast.providers), ("runs", blast.runs), ("hosts", blast.hosts))
    return "; ".join(f"{kind} {', '.join(names)}" for kind, names in kinds if names)


def duration(incident: Incident) -> timedelta | None:
    """From the start of the impact, or from detection where that is not known, to the end; None while it is open."""
    if incident.resolved_at is None:
        return None
    start = min(incident.impact_started_at or incident.detected_at, incident.resolved_at)
    return incident.resolved_at - start


def to_do(incident: Incident) -> tuple[str, ...]:
    """The two commands that somebody would use next."""
    command = "orchestrator incidents"
    if incident.status.is_open:
        first = f'{command} note {incident.id} "…"' if incident.acknowledged else f"{command} ack {incident.id}"
        second = f'{command} resolve {incident.id} --resolution "…"' if incident.acknowledged else None
        return (first, second or f"{command} show {incident.id}")
    if incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW):
        return (f"{command} review {incident.id}", f"{command} reopen {incident.id}")
    return (f"{command} export {incident.id}", f"{command} show {incident.id}")


def _review(incident: Incident) -> str:
    if incident.resolved_at is None or not pages(incident):
        return "none is held for this severity"
    due: datetime = incident.resolved_at + timedelta(seconds=REVIEW_SECONDS)
    return f"due {due:%Y-%m-%d}: orchestrator incidents review {incident.id}"
