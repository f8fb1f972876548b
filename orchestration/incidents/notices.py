"""The notice about an incident at a moment, from which every message is rendered. Pure."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta

from orchestration.domain.console_command import answer_command
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.incidents.change import Notification
from orchestration.incidents.escalation import REVIEW_SECONDS, pages
from orchestration.incidents.estimates import SimilarBy
from orchestration.incidents.model import Incident, ReviewField
from orchestration.incidents.report import BlastRadius, Facts
from orchestration.incidents.review import span
from orchestration.notifications.notice import Notice, NoticeKind

_INVESTIGATING = (IncidentStatus.DETECTED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.REOPENED)


def notice(incident: Incident, notification: Notification, url: str = "") -> Notice:
    """The notice for one notification. `url` is the address of the incident's page."""
    return Notice(
        kind=notification.kind,
        incident_id=incident.id,
        severity=incident.severity,
        scenario=incident.scenario,
        title=incident.title,
        status=status_word(incident),
        impact=incident.impact or affected(incident),
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
        tried=incident.attempted_actions,
        to_do=_commands(incident, notification),
        url=url,
        drill=incident.drill,
    )


def status_word(incident: Incident) -> str:
    """The status as the playbook's templates write it, in capitals."""
    return "INVESTIGATING" if incident.status in _INVESTIGATING else incident.status.value.upper()


def affected(incident: Incident) -> str:
    """Who is affected, as far as is known; empty if nothing is known."""
    return describe_impact(incident.scenario, incident.facts, incident.blast_radius)


def describe_impact(scenario: Scenario, facts: Facts, blast: BlastRadius) -> str:
    """Who is affected by a problem, by its facts and its blast radius."""
    parts = (
        _providers(facts, blast.providers),
        _agents(facts, blast.agents),
        _runs(scenario, blast.runs),
        f"everything that runs on {', '.join(blast.hosts)}" if blast.hosts else "",
        "all of it: without the database nothing new can be recorded" if facts.database_unreachable else "",
    )
    return "; ".join(part for part in parts if part)


def _providers(facts: Facts, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    if not facts.providers_down or facts.providers_usable is None:
        return f"model calls to {', '.join(names)}"
    usable = facts.providers_usable
    left = f"{usable} of the fallback chain can take over" if usable else "no other is left, so every run waits"
    return f"no model call to {', '.join(names)} succeeds; {left}"


def _agents(facts: Facts, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    share = f" ({facts.agents_failing} of {facts.agents_total} agents fail)" if facts.agents_failing else ""
    return _listed("agent", names) + share


def _runs(scenario: Scenario, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    if scenario is Scenario.SECURITY_ALERT:
        return f"whatever {_listed('run', names)} wrote"
    return f"{_listed('run', names)} cannot be relied on to finish"


def _listed(what: str, names: tuple[str, ...]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names)}"


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


def next_commands(incident: Incident) -> tuple[str, ...]:
    """The two commands to use next."""
    command = "orchestrator incidents"
    if incident.status.is_open and not incident.acknowledged:
        return (f"{command} ack {incident.id}", diagnostic_command(incident))
    if incident.status.is_open:
        return (diagnostic_command(incident), f'{command} resolve {incident.id} --resolution "…"')
    if incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW):
        return (f"{command} review {incident.id}", f"{command} reopen {incident.id}")
    return (f"{command} export {incident.id}", f"{command} show {incident.id}")


def diagnostic_command(incident: Incident) -> str:
    """The command that shows most of this problem."""
    # Names come from alerts and configuration, and people paste these commands into a shell: hence the quoting.
    blast, path = incident.blast_radius, incident.labels.get("path")
    if incident.scenario is Scenario.PROVIDER_UNAVAILABLE:
        return " ".join(["orchestrator providers probe", *(shlex.quote(name) for name in blast.providers)])
    if incident.scenario is Scenario.HIGH_RESOURCE_USAGE:
        return f"df -h {shlex.quote(path)}" if path else "top -b -n 1"
    if incident.scenario is Scenario.CONTROL_PLANE:
        return "orchestrator doctor"
    if blast.runs:
        return f"orchestrator runs show {shlex.quote(blast.runs[-1])}"
    return f"orchestrator incidents show {incident.id}"


def _review(incident: Incident) -> str:
    if incident.status.is_open:
        return ""
    if incident.resolved_at is None or not pages(incident):
        return "none is held for this severity"
    due: datetime = incident.resolved_at + timedelta(seconds=REVIEW_SECONDS)
    return f"due {due:%Y-%m-%d}: orchestrator incidents review {incident.id}"
