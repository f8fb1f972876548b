"""The notice about an incident at a moment, from which every message is rendered. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestration.domain.console_command import answer_command
from orchestration.incidents.brief import briefing
from orchestration.incidents.change import Notification
from orchestration.incidents.escalation import REVIEW_SECONDS, pages
from orchestration.incidents.estimates import SimilarBy
from orchestration.incidents.model import ActionItem, Incident, ReviewField
from orchestration.incidents.next_commands import next_commands
from orchestration.incidents.review import span
from orchestration.notifications.notice import Notice, NoticeKind


def notice(incident: Incident, notification: Notification, url: str = "") -> Notice:
    """The notice for one notification. `url` is the address of the incident's page."""
    if notification.item is not None:
        return _item_notice(incident, notification.item, url)
    brief = briefing(incident)
    return Notice(
        kind=notification.kind,
        incident_id=incident.id,
        severity=incident.severity,
        scenario=incident.scenario,
        title=incident.title,
        status=brief.status,
        impact=brief.impact,
        severity_reason=brief.severity_reason,
        origin=brief.origin,
        causes=brief.causes,
        started_at=incident.impact_started_at,
        detected_at=incident.detected_at,
        eta=estimated_end(incident, incident.changed_at),
        eta_basis=estimate_basis(incident, incident.changed_at),
        details="\n".join([incident.summary, *(f"{link.name}: {link.url}" for link in incident.links)]),
        next_update=incident.update_due,
        duration=duration(incident),
        root_cause=incident.review.get(ReviewField.ROOT_CAUSE, ""),
        resolution=incident.review.get(ReviewField.RESOLUTION, ""),
        review=_review(incident) if notification.kind in (NoticeKind.RESOLVED, NoticeKind.REMINDER) else "",
        reason=notification.reason,
        tried=tuple(attempt.sentence for attempt in brief.attempts),
        to_do=_commands(incident, notification),
        url=url,
        drill=incident.drill,
        labels=_labels(incident),
    )


def _item_notice(incident: Incident, item: ActionItem, url: str) -> Notice:
    """The notice about an action item: its text is the title, and the incident the reason."""
    return Notice(
        kind=NoticeKind.ACTION_ITEM,
        incident_id=incident.id,
        severity=incident.severity,
        scenario=incident.scenario,
        title=item.text,
        status="DONE" if item.done_at else "OPEN",
        detected_at=incident.detected_at,
        details=f"Owner: {item.owner}\nDue: {item.due}",
        resolution=f"done by {item.done_by}" if item.done_at else "",
        reason=incident.title,
        url=url,
        drill=incident.drill,
        labels={**_labels(incident), "owner": item.owner},
        item=item.number,
        item_done=item.done_at is not None,
    )


def _labels(incident: Incident) -> dict[str, str]:
    return {**incident.labels, "scenario": incident.scenario.value, "severity": incident.severity.value}


def duration(incident: Incident) -> timedelta | None:
    """From the start of the impact, or from detection if that is unknown, to the end; None while it is open."""
    if incident.resolved_at is None:
        return None
    # A person may enter a start that is later than the end; no message may tell of a negative duration.
    start = min(incident.impact_started_at or incident.detected_at, incident.resolved_at)
    return incident.resolved_at - start


def _commands(incident: Incident, notification: Notification) -> tuple[str, ...]:
    if notification.kind is not NoticeKind.APPROVAL:
        return next_commands(incident)
    # With the question, since another one may be open by the time this is read.
    question = notification.reason
    return answer_command(incident.id, question), answer_command(incident.id, question, approve=False)


def estimated_end(incident: Incident, now: datetime) -> datetime | None:
    """When it is expected to be over: as a person has said, else as past incidents of the kind suggest."""
    if incident.eta is not None or incident.expected is None or not incident.status.is_open:
        return incident.eta
    return incident.expected.expected_at(incident.detected_at, now)


def estimate_basis(incident: Incident, now: datetime) -> str:
    """On what the estimate rests; empty if a person has said it, or if there is none."""
    past = incident.expected
    if incident.eta is not None or past is None or not incident.status.is_open:
        return ""
    like = "of this problem" if past.similar_by is SimilarBy.PROBLEM else f"of {incident.scenario.value}"
    found = f"{past.n} past {'incident' if past.n == 1 else 'incidents'} {like}"
    longest = span(timedelta(seconds=past.p90))
    if past.expected_at(incident.detected_at, now) is None:
        return f"it takes longer than nine in ten of {found}, which took at most {longest}"
    return f"from {found}: half took at most {span(timedelta(seconds=past.median))}, nine in ten {longest}"


def estimate(incident: Incident, now: datetime) -> str:
    """The estimate as one line of text, with its basis."""
    at, basis = estimated_end(incident, now), estimate_basis(incident, now)
    when = "Unknown" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
    if not basis and at is None and incident.status.is_open:
        basis = "no incident of the kind has been repaired so far"
    return f"{when} ({basis})" if basis else when


def _review(incident: Incident) -> str:
    if incident.status.is_open:
        return ""
    if incident.resolved_at is None or not pages(incident):
        return "none is held for this severity"
    due: datetime = incident.resolved_at + timedelta(seconds=REVIEW_SECONDS)
    return f"due {due:%Y-%m-%d}: orchestrator incidents review {incident.id}"
