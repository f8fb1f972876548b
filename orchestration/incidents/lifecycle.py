"""How an incident begins, absorbs further reports, and comes back. Pure.

Reports with one key are about one problem. While its incident is open they join it; soon after its resolution they
reopen it; later they open a new incident, linked to the earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from orchestration.config.escalation import DEFAULT_PATH
from orchestration.config.response import Contact, ResponseSettings
from orchestration.config.section import DAY
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents import attention, conditions, duties, escalation, sla
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.condition import ConditionStatus, IncidentCondition
from orchestration.incidents.escalation_routes import choose_path, route_labels
from orchestration.incidents.estimates import PastDurations
from orchestration.incidents.model import Incident, TimelineEntry, reporter_of, require_open
from orchestration.incidents.report import MAX_FINGERPRINTS, MAX_LINKS, MAX_NAMES, BlastRadius, TroubleReport
from orchestration.incidents.severity import SeverityReason, assess, worst
from orchestration.incidents.sla import SlaClock, TargetKind
from orchestration.notifications.notice import NoticeKind

# A false alarm that continues stays quiet for so long, unless it ends or gets worse.
FALSE_ALARM_SECONDS = DAY
# By how much a storm grows before people are notified of it once more.
_GROWN = 10
_CAUSES_TOLD, _MAX_CAUSES = 10, 500


class Correlation(StrEnum):
    """How a report relates to the newest incident of its key."""

    NEW = "new"
    JOINS = "joins"
    REOPENS = "reopens"
    RECURS = "recurs"
    STALE = "stale"
    FALSE_ALARM = "false-alarm"


@dataclass(frozen=True, slots=True)
class DetectionSnapshot:
    """What is fixed at detection and used to the end: the settings, the name they are stored under, the playbook, and
    how long past incidents of the kind took."""

    settings: ResponseSettings
    policy: str
    playbook: str
    expected: PastDurations | None = None


def correlate(latest: Incident | None, report: TroubleReport, settings: ResponseSettings) -> Correlation:
    """Decide what to do with a report, given the newest incident of its key."""
    if latest is None:
        return Correlation.NEW
    # An open incident accepts late reports as well: `absorb` takes the later of two sightings.
    if latest.status.is_open:
        return Correlation.JOINS
    # Reports may arrive hours late, replayed from the journal. An old sighting must not reopen what ended since.
    if report.at <= max(at for at in (latest.last_seen_at, latest.cleared_at, latest.resolved_at) if at is not None):
        return Correlation.STALE
    if latest.status is IncidentStatus.CANCELLED:
        # A person who declares it in spite of that knows better than the earlier judgement.
        return Correlation.NEW if report.asserted_by else _after_false_alarm(latest, report)
    # What has another cause is another problem, although it is about the same thing.
    if latest.resolved_at is None or (latest.causes and report.causes and not set(latest.causes) & set(report.causes)):
        return Correlation.NEW
    since = report.at - latest.resolved_at
    # No status follows `closed`, so whatever returns after the review is a recurrence, however soon.
    reopens = latest.status is not IncidentStatus.CLOSED and since <= timedelta(seconds=settings.reopen_seconds)
    if reopens:
        return Correlation.REOPENS
    return Correlation.RECURS if since <= timedelta(days=settings.recurrence_days) else Correlation.NEW


def declare(
    identifier: str, report: TroubleReport, snapshot: DetectionSnapshot, now: datetime, recurrence_of: str | None = None
) -> IncidentChange:
    """Begin an incident. Its clocks start when the problem was seen, even if that could not be written at once."""
    # The clock of another machine may be ahead; nothing is detected in the future.
    at = min(report.at, now)
    incident = _new_incident(identifier, report, snapshot, at, recurrence_of)
    change = IncidentChange(incident, snapshot.settings, now, reporter_of(report))
    duties.open_all(change, report.duties)
    data = {"severity": incident.severity.value, "ground": incident.severity_reason.value, **_seen(report)}
    linked = {"recurrence_of": recurrence_of} if recurrence_of else {}
    path = {} if incident.escalation_path == DEFAULT_PATH else {"escalation_path": incident.escalation_path}
    change.entries.append(TimelineEntry(at, "detected", str(change.actor), {**data, **path, **linked}))
    change.start_paging()
    return change


def absorb(change: IncidentChange, report: TroubleReport) -> None:
    """Absorb a report of the same problem; one that says nothing new changes nothing."""
    incident = change.incident
    blast = combined(incident.blast_radius, report.blast_radius)
    fingerprints = tuple(dict.fromkeys([*incident.fingerprints, *report.fingerprints]))[:MAX_FINGERPRINTS]
    news = {
        "blast_radius": blast,
        "fingerprints": fingerprints,
        "facts": worst(incident.facts, report.facts),
        "links": tuple(dict.fromkeys([*incident.links, *report.links]))[:MAX_LINKS],
        "causes": tuple(dict.fromkeys([*incident.causes, *report.causes]))[:_MAX_CAUSES],
        **_impact_of(incident, report),
    }
    if report.storm and report.key == incident.key:
        # It is named by how much there is of it, and by the worst.
        news |= {"storm": report.storm, "title": report.title, "summary": report.summary}
    is_news = any(getattr(incident, name) != value for name, value in news.items())
    if is_news:
        added = [each for each in fingerprints if each not in incident.fingerprints]
        change.set(**news, last_seen_at=max(incident.last_seen_at, report.at))
        change.add_entry("joined", **{**_seen(report), "fingerprints": added})
    # The word of a person is no alert, which something could observe to be over.
    if not report.asserted_by:
        conditions.fire(change, report.key, report.at, renewed=is_news)
    # One that was written before causes were kept has none to compare with.
    gained = [cause for cause in change.incident.causes if incident.causes and cause not in incident.causes]
    if gained:
        _gain_causes(change, report, gained)
    duties.open_all(change, report.duties)
    _become_real(change, report)
    _raise_by_facts(change, report)
    _tell_of_growth(change)


def _tell_of_growth(change: IncidentChange) -> None:
    """Notify people again once a storm is ten times as large as they know; the promised updates say the rest."""
    incident = change.incident
    if incident.storm is None or incident.storm.total < _GROWN * incident.storm_told:
        return
    change.set(storm_told=incident.storm.total)
    if change.incident.status is not IncidentStatus.SUPPRESSED and not change.incident.is_silenced:
        reason = f"it has grown from {incident.storm_told:,} alerts to {incident.storm.total:,}"
        change.notify_everyone(NoticeKind.UPDATE, f"storm-{incident.storm.total}", reason)


def _impact_of(incident: Incident, report: TroubleReport) -> dict[str, Any]:
    """What a further declaration adds. What is described already stays: people change it by a command of its own."""
    if not report.asserted_by:
        return {}
    start = incident.impact_started_at
    if start is None and report.started_at is not None and report.started_at <= incident.detected_at:
        start = report.started_at
    return {"impact": incident.impact or report.impact, "impact_started_at": start}


def _gain_causes(change: IncidentChange, report: TroubleReport, gained: list[str]) -> None:
    """Something else has broken as well: people are notified of it, and it is diagnosed and answered by itself."""
    incident = change.incident
    gone = not set(report.causes) & (set(incident.causes) - set(gained))
    alone = not any(one.fires for key, one in incident.known_conditions.items() if key != report.key)
    change.set(
        title=report.title,
        summary=report.summary,
        labels=dict(report.labels),
        proof="",
        proven_at=None,
        responses=incident.responses + 1,
        # What was tried against the earlier cause says nothing about this one.
        attempted_actions=() if gone and alone else incident.attempted_actions,
        failed_actions=() if gone and alone else incident.failed_actions,
        likely_causes=(),
        requested_option="",
    )
    change.add_entry("cause-added", title=report.title, summary=report.summary, causes=gained)
    known = len(incident.causes) - len(gained)
    # Of the first few each is told; of a hundred, only that they have doubled.
    is_told = known < _CAUSES_TOLD or known.bit_length() != len(incident.causes).bit_length()
    if is_told and incident.status is not IncidentStatus.SUPPRESSED:
        step = f"cause-{incident.version}"
        change.notify_everyone(NoticeKind.UPDATE, step, f"another cause: {report.title}. {report.summary}")


def reopen(change: IncidentChange, reason: str, seen_at: datetime | None = None) -> None:
    """Reopen the incident: a new SLA record starts, and everyone is notified again. Raises IncidentRefusedError.

    `seen_at` is when the problem was seen again, which for a replayed report is before now.
    """
    incident = change.incident
    continued = _was_not_repaired(change, incident, seen_at or change.now)
    knew = incident.notified
    change.transition(IncidentStatus.REOPENED, reason=reason)
    change.set(
        clock=sla.reopen(
            incident.clock,
            incident.severity,
            change.settings,
            change.now,
            continued=continued,
        ),
        # No alert fires when a person reopens it, so no alert can clear it again: that person is the observer.
        conditions={},
        asserted_by=change.actor.name if change.actor.human else "",
        proof="",
        active_response="",
        responses=0,
        likely_causes=(),
        requested_option="",
        **dict.fromkeys(_ENDS),
    )
    paged = {contact.id for contact in change.start_paging()}
    # Whoever has heard that it was over learns that it is not.
    others = [contact for contact in change.contacts_for(knew) if contact.id not in paged]
    if others:
        change.notify(NoticeKind.UPDATE, others, f"reopened-{change.incident.paging_rounds}", f"reopened: {reason}")


def _was_not_repaired(change: IncidentChange, incident: Incident, at: datetime) -> bool:
    """Whether the resolution did not hold for as long as the reopen window."""
    resolved = incident.resolved_at
    return resolved is not None and at - resolved <= timedelta(seconds=change.settings.reopen_seconds)


def end_suppression(change: IncidentChange) -> None:
    """The maintenance is over and the problem is still there: the response begins, and its clock with it."""
    incident = change.incident
    change.transition(IncidentStatus.DETECTED, reason="the maintenance window has ended")
    change.set(
        suppressed_until=None,
        # Under the same number, so that this record replaces the one from before the maintenance: nobody was asked to
        # respond to that.
        clock=sla.start(incident.severity, change.settings, change.now, incident.clock.number),
    )
    change.start_paging()


def page_for(change: IncidentChange, other: Incident) -> None:
    """Take over severity, clock and pages of a worse incident that is merged into this one and that nobody has
    acknowledged: whoever has this one in hand did not know of it."""
    began = min(each.clock.start(TargetKind.RESOLUTION) for each in (change.incident, other))
    reason = f"{other.id} was merged into it, which nobody has acknowledged"
    _page_anew(change, other.severity, other.severity_reason, other.clock, began, reason)


def _page_anew(
    change: IncidentChange,
    severity: Severity,
    severity_reason: SeverityReason,
    clock: SlaClock,
    began: datetime,
    reason: str,
) -> None:
    """Raise the severity of an incident that somebody has in hand, and page by the response target of `clock`."""
    mine = change.incident
    change.set(
        severity=severity,
        severity_reason=severity_reason,
        clock=replace(
            sla.start(severity, change.settings, began),
            started_at=clock.started_at,
            response_due=clock.response_due,
            number=mine.clock.number,
            resolution_from=began,
            continues=mine.clock.continues,
        ),
    )
    details = {"from": mine.severity.value, "to": severity.value, "reason": reason}
    change.add_entry("severity-raised", **details)
    _follow_routes(change, mine.severity)
    attention.wake(change, "its severity has risen")
    change.start_paging()


def change_severity(change: IncidentChange, severity: Severity, severity_reason: SeverityReason, reason: str) -> None:
    """Raise or lower the severity: the targets are recomputed from the original start, and people are notified."""
    incident = change.incident
    require_open(incident, "change its severity")
    rises = severity.worse_than(incident.severity)
    details = {"from": incident.severity.value, "to": severity.value, "reason": reason}
    change.set(
        severity=severity,
        severity_reason=severity_reason,
        clock=sla.recompute(incident.clock, severity, change.settings),
    )
    change.add_entry("severity-raised" if rises else "severity-lowered", **details)
    rerouted = rises and _follow_routes(change, incident.severity)
    if rises:
        attention.wake(change, "its severity has risen")
    # Maintenance stays quiet. If the problem outlives it, paging starts with the severity of that moment.
    if incident.status is IncidentStatus.SUPPRESSED:
        return
    knew = change.incident.notified
    paged = {contact.id for contact in page_path(change)} if rerouted else set()
    # With the version: a severity may rise, fall and rise again, and each time people have to learn of it.
    step = f"{severity.value}-{incident.version}"
    others = [contact for contact in change.contacts_for(knew) if contact.id not in paged]
    if others or not paged:
        said = f"severity {incident.severity.value} → {severity.value}: {reason}"
        change.notify(NoticeKind.UPDATE, others, step, said)
    newcomers = [contact for contact in change.audience() if _is_new(change, contact.id)]
    if rises and newcomers:
        change.notify(NoticeKind.INITIAL, newcomers, step, reason)
    _start_pages(change)


def change_path(change: IncidentChange, path: str, reason: str) -> None:
    """Give the incident to the people of another escalation path, from its first level on."""
    change.add_entry("path-changed", **{"from": change.incident.escalation_path, "to": path, "reason": reason})
    change.set(escalation_path=path, levels_paged=0)


def page_path(change: IncidentChange) -> tuple[Contact, ...]:
    """Page the first level of a path that the incident has come to, unless somebody has it in hand. Returns who is
    paged."""
    incident = change.incident
    if incident.status is IncidentStatus.SUPPRESSED or incident.acknowledged:
        return ()
    if incident.pages_are_held:
        change.set(page_due=escalation.next_page(incident, change.settings, change.now))
        return ()
    # Pages that have not been sent are for those whom it does not concern any more.
    change.stops_pages = True
    return change.start_paging()


def combined(one: BlastRadius, other: BlastRadius) -> BlastRadius:
    """Everything that either affects, each name once."""
    names = (field.name for field in fields(BlastRadius))
    both = {name: dict.fromkeys([*getattr(one, name), *getattr(other, name)]) for name in names}
    return BlastRadius(**{name: tuple(found)[:MAX_NAMES] for name, found in both.items()})


# What described the earlier end says nothing about the new occurrence. `acknowledged_at` is not among them: MTTA
# counts the first acknowledgement of all, and the new record asks for its own.
_ENDS = (
    "mitigated_at",
    "verified_at",
    "resolved_at",
    "cleared_at",
    "proven_at",
    "acted_at",
    "responding_since",
    "ended_by",
    "record_due",
    "review_due",
    "watched_until",
    "eta",
    "attended_at",
    "reminded_at",
    "lapsed_at",
)


_SAME = (
    *("key", "scenario", "title", "summary", "facts", "blast_radius", "source", "drill", "causes"),
    *("impact", "asserted_by"),
)


def _new_incident(
    identifier: str, report: TroubleReport, snapshot: DetectionSnapshot, at: datetime, recurrence_of: str | None
) -> Incident:
    severity, reason = assess(report.scenario, report.facts)
    same = {name: getattr(report, name) for name in _SAME}
    return Incident(
        id=identifier,
        severity=severity,
        assessed_severity=severity,
        first_severity=severity,
        severity_reason=reason,
        detected_at=at,
        last_seen_at=at,
        changed_at=at,
        clock=sla.start(severity, snapshot.settings, at),
        policy=snapshot.policy,
        escalation_path=choose_path(snapshot.settings, severity, report.scenario, route_labels(report)).path,
        playbook=snapshot.playbook,
        expected=snapshot.expected,
        labels=dict(report.labels),
        fingerprints=tuple(dict.fromkeys(report.fingerprints))[:MAX_FINGERPRINTS],
        storm=report.storm,
        storm_told=report.storm.total if report.storm else 0,
        links=report.links[:MAX_LINKS],
        impact_started_at=report.started_at,
        recurrence_of=recurrence_of,
        conditions={} if report.asserted_by else {report.key: IncidentCondition(ConditionStatus.FIRING, at)},
        **same,
    )


def _after_false_alarm(latest: Incident, report: TroubleReport) -> Correlation:
    severity, _ = assess(report.scenario, report.facts)
    # A false alarm is a judgement about one occurrence. If that ended or got worse, the judgement does not cover the
    # next.
    recent = report.at - latest.changed_at < timedelta(seconds=FALSE_ALARM_SECONDS)
    same = latest.cleared_at is None and not severity.worse_than(latest.assessed_severity)
    return Correlation.FALSE_ALARM if recent and same else Correlation.NEW


def _raise_by_facts(change: IncidentChange, report: TroubleReport) -> None:
    """Only facts worse than any before raise the severity: they do not overrule a person who has lowered it."""
    severity, ground = assess(report.scenario, report.facts)
    if not severity.worse_than(change.incident.assessed_severity):
        return
    change.set(assessed_severity=severity)
    incident = change.incident
    if not severity.worse_than(incident.severity):
        return
    if report.storm and incident.acknowledged and incident.status is not IncidentStatus.SUPPRESSED:
        # Whoever has the storm in hand does not know of the alert that is worse than all in it so far.
        clock = sla.start(severity, change.settings, change.now)
        began = incident.clock.start(TargetKind.RESOLUTION)
        _page_anew(change, severity, ground, clock, began, f"a worse alert has joined: {report.title}")
    else:
        change_severity(change, severity, ground, f"the facts are worse: {ground.value}")


def _become_real(change: IncidentChange, report: TroubleReport) -> None:
    if change.incident.drill and not report.drill:
        change.set(drill=False)
        change.add_entry("became-real", reason="the same trouble was seen outside the drill")
        change.notify_everyone(NoticeKind.UPDATE, "real", "this is no drill any more")


def _follow_routes(change: IncidentChange, before: Severity) -> bool:
    """An incident that is worse than `before` belongs to those whom the routes name for its severity now. One that a
    person has moved stays where it is: the routes would not have led it there."""
    incident, labels = change.incident, route_labels(change.incident)

    def path_at(severity: Severity) -> str:
        return choose_path(change.settings, severity, incident.scenario, labels).path

    wanted = path_at(incident.severity)
    if path_at(before) != incident.escalation_path or wanted == incident.escalation_path:
        return False
    change_path(change, wanted, f"the routes lead there at {incident.severity.value}")
    return True


def _start_pages(change: IncidentChange) -> None:
    """An incident that nobody was paged for starts to escalate once it is worse."""
    if change.incident.page_due is None and not change.incident.acknowledged:
        change.set(page_due=escalation.next_page(change.incident, change.settings, change.now))


def _is_new(change: IncidentChange, contact: str) -> bool:
    return contact not in change.incident.notified


def _seen(report: TroubleReport) -> dict[str, Any]:
    return {
        "title": report.title,
        "summary": report.summary,
        "source": report.source,
        "fingerprints": list(report.fingerprints[:MAX_FINGERPRINTS]),
        "evidence": [dict(piece) for piece in report.evidence],
    }
