"""When an incident escalates, and what else falls due for it. Pure.

Every timer is derived from the incident itself by `due_times`. The service stores them in a table so that they can be
found by time, and derives them again before it acts: a row that is out of date does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.config.escalation import EscalationLevel, EscalationSettings
from orchestration.config.response import ResponseSettings
from orchestration.config.section import DAY, HOUR
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import resolution
from orchestration.incidents.model import Incident, ReviewField
from orchestration.incidents.sla import TargetKind

# The playbook asks for the record within 24 hours of the resolution and for the review within a week. The first
# reminder comes halfway, while there is time left to act on it.
RECORD_SECONDS, REVIEW_SECONDS = DAY, 7 * DAY
_FIRST_REMINDER = 0.5
_REMINDER_SECONDS = DAY
_RECORD = (ReviewField.RESOLUTION, ReviewField.WORKAROUNDS)
_REVIEW = (
    ReviewField.ROOT_CAUSE,
    ReviewField.FACTORS,
    ReviewField.HELPED,
    ReviewField.PLAYBOOK,
    ReviewField.SHARED,
)


class IncidentTimer(StrEnum):
    """The timers of an incident."""

    PAGE = "page"
    RESPONSE_AT_RISK = "response-at-risk"
    RESPONSE_BREACHED = "response-breached"
    RESOLUTION_AT_RISK = "resolution-at-risk"
    RESOLUTION_BREACHED = "resolution-breached"
    UPDATE = "update"
    STABILITY = "stability"
    SUPPRESSION = "suppression"
    FORGOTTEN = "forgotten"
    SNOOZE = "snooze"
    RECORD = "record"
    REVIEW = "review"
    WATCH = "watch"


TARGET_TIMERS = {
    TargetKind.RESPONSE: (IncidentTimer.RESPONSE_AT_RISK, IncidentTimer.RESPONSE_BREACHED),
    TargetKind.RESOLUTION: (IncidentTimer.RESOLUTION_AT_RISK, IncidentTimer.RESOLUTION_BREACHED),
}


# New rules go to the end: the key of a message contains the position of its rule.
class EscalationRule(StrEnum):
    """The playbook's rules of escalation. Each applies once to an incident."""

    DATA_OR_SECURITY = "data-or-security"
    PERSISTS = "persists-after-mitigation"
    SEVERITY_ROSE = "severity-rose"
    SEVERAL_SYSTEMS = "several-systems"
    ESTIMATE = "estimate-beyond-target"
    COMES_AND_GOES = "comes-and-goes"

    @property
    def level(self) -> int:
        """The level: the security team at once, the project manager for delays, otherwise the technical lead."""
        return {EscalationRule.DATA_OR_SECURITY: 4, EscalationRule.ESTIMATE: 3}.get(self, 2)

    @property
    def sentence(self) -> str:
        """The reason, for people."""
        return _SENTENCES[self]


_SENTENCES = {
    EscalationRule.DATA_OR_SECURITY: "data may be lost, or security is concerned",
    EscalationRule.PERSISTS: "it persists after the attempts to mitigate it",
    EscalationRule.SEVERITY_ROSE: "its severity rose",
    EscalationRule.SEVERAL_SYSTEMS: "several systems are affected",
    EscalationRule.ESTIMATE: "it will take longer than the target for its resolution",
    EscalationRule.COMES_AND_GOES: "it comes and goes in spite of what was tried",
}


def rules_due(incident: Incident, settings: ResponseSettings, now: datetime) -> tuple[EscalationRule, ...]:
    """The rules that hold and have not been applied yet. Only open incidents escalate."""
    if not incident.status.is_open or incident.status is IncidentStatus.SUPPRESSED or incident.pages_are_held:
        return ()
    return tuple(rule for rule in _holding(incident, settings, now) if rule.value not in incident.escalated)


def _holding(incident: Incident, settings: ResponseSettings, now: datetime) -> Iterator[EscalationRule]:
    facts = incident.facts
    security = facts.breach or facts.secret_exposed or facts.access_refused
    if facts.data_loss or facts.corruption or security or incident.scenario is Scenario.SECURITY_ALERT:
        yield EscalationRule.DATA_OR_SECURITY
    if pages(incident):
        yield from _worsening(incident, settings)
    # An incident lasts until now at least: without an estimate, or past it, the deadline itself decides. While nobody
    # has acknowledged it, pages go up level by level, each with its time: after a night in which the machine was
    # asleep, everything is due at once, and would call all levels at once.
    climbing = incident.eta is None and incident.page_due is not None and pages(incident)
    if not climbing and max(incident.eta or now, now) >= incident.clock.resolution_due:
        yield EscalationRule.ESTIMATE


def _worsening(incident: Incident, settings: ResponseSettings) -> Iterator[EscalationRule]:
    blast = incident.blast_radius
    if incident.failed_attempts >= path_of(incident, settings).after_failed_attempts:
        yield EscalationRule.PERSISTS
    if incident.flapping and incident.attempted_actions:
        yield EscalationRule.COMES_AND_GOES
    if incident.severity.worse_than(incident.first_severity):
        yield EscalationRule.SEVERITY_ROSE
    if any(len(systems) > 1 for systems in (blast.agents, blast.providers, blast.hosts)):
        yield EscalationRule.SEVERAL_SYSTEMS


def pages(incident: Incident) -> bool:
    """Whether unacknowledged pages of this incident escalate; a P3 is a ticket that nobody is woken for."""
    return incident.severity is not Severity.P3


def path_of(incident: Incident, settings: ResponseSettings) -> EscalationSettings:
    """The escalation path that the incident takes."""
    return settings.path(incident.escalation_path)


def level_to_page(incident: Incident, settings: ResponseSettings) -> EscalationLevel | None:
    """The next level to page; None when all have been paged as often as the settings say."""
    path = path_of(incident, settings)
    levels, times = path.levels, path.repeat
    if not levels or incident.levels_paged >= len(levels) * times:
        return None
    return levels[incident.levels_paged % len(levels)]


def next_page(incident: Incident, settings: ResponseSettings, now: datetime) -> datetime | None:
    """When to page the next level. It counts from now, so that after a downtime each level still gets its time."""
    levels = path_of(incident, settings).levels
    if not pages(incident) or not levels or level_to_page(incident, settings) is None:
        return None
    last = levels[(incident.levels_paged - 1) % len(levels)]
    return now + timedelta(seconds=last.after)


def next_update(incident: Incident, settings: ResponseSettings, now: datetime) -> datetime:
    """When the next update about the incident is promised."""
    return now + timedelta(seconds=settings.update_seconds.get(incident.severity, HOUR))


def due_times(incident: Incident, settings: ResponseSettings) -> dict[IncidentTimer, datetime]:
    """Every timer that runs, and when it falls due."""
    if incident.status is IncidentStatus.SUPPRESSED:
        waiting = {
            IncidentTimer.SUPPRESSION: incident.suppressed_until,
            # The problem may go away before the maintenance ends; then nobody has to be woken at its end.
            IncidentTimer.STABILITY: resolution.due_at(incident, settings),
        }
    elif incident.status.is_open:
        waiting = {
            # Asked again before each page: an acknowledgement may have come after the timer's row was read.
            IncidentTimer.PAGE: incident.page_due if _is_paged(incident) else None,
            IncidentTimer.UPDATE: incident.update_due,
            IncidentTimer.STABILITY: resolution.due_at(incident, settings),
            IncidentTimer.FORGOTTEN: _forgotten_at(incident, settings),
            IncidentTimer.SNOOZE: incident.snoozed_until,
            **({} if incident.pages_are_held else dict(_target_times(incident, settings))),
        }
    elif incident.status in (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW):
        waiting = {
            IncidentTimer.RECORD: incident.record_due,
            IncidentTimer.REVIEW: incident.review_due,
            IncidentTimer.WATCH: incident.watched_until,
        }
    else:
        waiting = {IncidentTimer.WATCH: incident.watched_until}
    return {timer: due for timer, due in waiting.items() if due is not None}


def attended_since(incident: Incident) -> datetime | None:
    """Up to when somebody has shown that they have it in hand: by what they did, or by their estimate."""
    known = (incident.clock.acknowledged_at, incident.attended_at, incident.eta)
    return max((at for at in known if at is not None), default=None)


def is_reminded(incident: Incident) -> bool:
    """Whether whoever has it was reminded, and has done nothing since."""
    since = attended_since(incident)
    return incident.reminded_at is not None and (since is None or since <= incident.reminded_at)


def warning(incident: Incident, timer: IncidentTimer) -> str:
    """The mark of a warning: it is given once for each round of paging and severity."""
    return f"{timer.value}-{incident.paging_rounds}-{incident.severity.value}"


def missing_fields(incident: Incident) -> tuple[ReviewField, ...]:
    """What is missing before the incident can be closed: for a P3 its record, for all others the review as well."""
    return missing_record(incident) + missing_review(incident)


def missing_record(incident: Incident) -> tuple[ReviewField, ...]:
    """The missing fields that are due within a day."""
    return tuple(each for each in _RECORD if not incident.review.get(each))


def missing_review(incident: Incident) -> tuple[ReviewField, ...]:
    """The missing fields that are due within a week."""
    if not pages(incident):
        return ()
    security = (ReviewField.SECURITY,) if incident.scenario is Scenario.SECURITY_ALERT else ()
    return tuple(each for each in (*_REVIEW, *security) if not incident.review.get(each))


def first_reminder(resolved_at: datetime, seconds: float) -> datetime:
    """Halfway to the deadline."""
    return resolved_at + timedelta(seconds=seconds * _FIRST_REMINDER)


def next_reminder(resolved_at: datetime, seconds: float, now: datetime) -> datetime:
    """At the deadline, and after it once a day until it is done."""
    deadline = resolved_at + timedelta(seconds=seconds)
    return deadline if now < deadline else now + timedelta(seconds=_REMINDER_SECONDS)


def _is_paged(incident: Incident) -> bool:
    # Nobody is woken for a workaround that holds and is taken back by itself, nor for what somebody has silenced.
    quiet = incident.pages_are_held or resolution.settles_by_itself(incident)
    return pages(incident) and not incident.acknowledged and not quiet


def _forgotten_at(incident: Incident, settings: ResponseSettings) -> datetime | None:
    """When an acknowledgement counts as forgotten: for a reminder first, and then for a page."""
    path = path_of(incident, settings)
    since, after = attended_since(incident), path.remind_after.get(incident.severity)
    if after is None or since is None or not incident.acknowledged or not _is_there(incident):
        return None
    if is_reminded(incident) and incident.reminded_at is not None:
        return incident.reminded_at + timedelta(seconds=path.page_again_after)
    return since + timedelta(seconds=after)


def _is_there(incident: Incident) -> bool:
    """Whether the problem is there, and a person has to do something about it now."""
    there = bool(incident.asserted_by) or any(each.fires for each in incident.known_conditions.values())
    at_work = incident.active_response or resolution.settles_by_itself(incident)
    return there and not at_work and not incident.pages_are_held


def _target_times(incident: Incident, settings: ResponseSettings) -> Iterator[tuple[IncidentTimer, datetime]]:
    for kind, (at_risk, breached) in TARGET_TIMERS.items():
        if incident.clock.stopped_at(kind) is None and warning(incident, breached) not in incident.warned:
            yield breached, incident.clock.due(kind)
            # Only while the breach has not been announced: after that a warning that it may come says nothing.
            if warning(incident, at_risk) not in incident.warned:
                yield at_risk, incident.clock.at_risk_from(kind, settings.at_risk_percent)
