"""How incidents are opened, joined by further reports, raised, cleared and reopened."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.severity import Severity
from orchestration.incidents import lifecycle
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.suppression import Suppress
from orchestration.incidents.escalation import IncidentTimer, due_times
from orchestration.incidents.lifecycle import Correlation, correlate
from orchestration.incidents.model import Incident
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from orchestration.incidents.severity import SeverityReason
from orchestration.incidents.unit_of_work import Handling
from orchestration.notifications.notice import NoticeKind
from tests.support.incidents import (
    ADA,
    ALL_AGENTS,
    HALF,
    NOON,
    ONE_AGENT,
    a_report,
    after,
    cleared,
    declared,
    said,
    some_settings,
    turned,
)

SETTINGS = some_settings()


def resolved_at(moment: datetime) -> Incident:
    return turned(declared().incident, Resolve(resolution="mended", anyway=True).apply, at=moment).incident


def test_an_incident_begins_with_its_severity_its_clock_and_its_first_page() -> None:
    turn = declared()
    incident = turn.incident
    assert (incident.severity, incident.severity_reason, incident.status) == (
        Severity.P2,
        SeverityReason.ONE_AGENT_FAILING,
        IncidentStatus.DETECTED,
    )
    assert said(turn) == [("initial", "initial-1", ("ada",))]
    assert [entry.kind for entry in turn.entries] == ["detected"]
    assert due_times(incident, SETTINGS) == {
        IncidentTimer.PAGE: after(minutes=10),
        IncidentTimer.UPDATE: after(hours=4),
        IncidentTimer.RESPONSE_AT_RISK: after(hours=3),
        IncidentTimer.RESPONSE_BREACHED: after(hours=4),
        IncidentTimer.RESOLUTION_AT_RISK: after(days=2, hours=6),
        IncidentTimer.RESOLUTION_BREACHED: after(days=3),
    }


def test_a_p0_is_told_to_everyone_at_once() -> None:
    assert said(declared(a_report(ALL_AGENTS)))[0] == ("initial", "initial-1", ("ada", "ben", "cleo", "sec"))


def test_a_p3_is_a_ticket_that_wakes_nobody() -> None:
    turn = declared(a_report(Facts(has_workaround=True)))
    assert said(turn) == [("initial", "initial-1", ())]
    assert IncidentTimer.PAGE not in due_times(turn.incident, SETTINGS)


def test_it_counts_from_when_it_was_seen_although_it_could_only_be_written_later() -> None:
    turn = declared(now=after(hours=2))
    incident = turn.incident
    assert (incident.detected_at, incident.clock.started_at, turn.entries[0].at) == (NOON, NOON, NOON)
    assert incident.page_due == after(hours=2, minutes=10)


def test_the_same_again_changes_nothing() -> None:
    incident = declared().incident
    assert not turned(incident, partial(lifecycle.absorb, report=a_report(at=after(minutes=1)))).changed


def test_what_is_new_joins_and_widens_it() -> None:
    more = a_report(at=after(minutes=1), fingerprints=("f-1", "f-2"), blast_radius=BlastRadius(runs=("run-1",)))
    turn = turned(declared().incident, partial(lifecycle.absorb, report=more))
    assert turn.incident.fingerprints == ("f-1", "f-2")
    assert turn.incident.blast_radius == BlastRadius(agents=("executor",), runs=("run-1",))
    assert [(entry.kind, entry.data["fingerprints"]) for entry in turn.entries] == [("joined", ["f-2"])]


def test_worse_facts_raise_it_and_tell_whom_that_concerns() -> None:
    turn = turned(declared().incident, partial(lifecycle.absorb, report=a_report(HALF, after(minutes=30))))
    assert turn.incident.severity is Severity.P1
    assert turn.incident.clock.response_due == after(hours=1)
    assert said(turn) == [("update", "P1-0", ("ada",)), ("initial", "P1-0", ("ben",))]
    assert [entry.kind for entry in turn.entries] == ["joined", "severity-raised", "escalated"]


def test_better_facts_never_lower_it() -> None:
    incident = declared(a_report(ALL_AGENTS)).incident
    turn = turned(incident, partial(lifecycle.absorb, report=a_report(ONE_AGENT, after(minutes=1))))
    assert turn.incident.severity is Severity.P0
    assert turn.incident.facts == ALL_AGENTS


def test_a_severity_that_a_person_has_lowered_is_not_raised_again_by_the_same_facts() -> None:
    incident = declared(a_report(HALF)).incident
    lowered = turned(incident, ChangeSeverity(severity=Severity.P3, reason="only the test site").apply).incident
    same = turned(lowered, partial(lifecycle.absorb, report=a_report(HALF, after(minutes=1)))).incident
    assert same.severity is Severity.P3
    assert IncidentTimer.PAGE not in due_times(same, SETTINGS)
    worse = turned(same, partial(lifecycle.absorb, report=a_report(ALL_AGENTS, after(minutes=2)))).incident
    assert worse.severity is Severity.P0
    assert IncidentTimer.PAGE in due_times(worse, SETTINGS)


@pytest.mark.parametrize(
    ("status", "seen", "expected"),
    [
        (IncidentStatus.RESOLVED, timedelta(minutes=59), Correlation.REOPENS),
        (IncidentStatus.IN_REVIEW, timedelta(minutes=60), Correlation.REOPENS),
        (IncidentStatus.CLOSED, timedelta(minutes=5), Correlation.RECURS),
        (IncidentStatus.RESOLVED, timedelta(minutes=61), Correlation.RECURS),
        (IncidentStatus.RESOLVED, timedelta(days=30), Correlation.RECURS),
        (IncidentStatus.RESOLVED, timedelta(days=31), Correlation.NEW),
        (IncidentStatus.RESOLVED, timedelta(0), Correlation.STALE),
        (IncidentStatus.RESOLVED, -timedelta(minutes=1), Correlation.STALE),
    ],
)
def test_after_it_was_resolved_time_decides(status: IncidentStatus, seen: timedelta, expected: Correlation) -> None:
    incident = replace(resolved_at(after(hours=1)), status=status)
    assert correlate(incident, a_report(at=after(hours=1) + seen), SETTINGS) is expected


def test_a_false_alarm_keeps_quiet_until_it_ends_or_gets_worse_or_a_day_has_gone_by() -> None:
    cancelled = turned(declared().incident, CancelIncident(reason="the test was wrong").apply).incident
    same, worse = a_report(at=after(minutes=5)), a_report(HALF, after(minutes=5))
    assert correlate(cancelled, same, SETTINGS) is Correlation.FALSE_ALARM
    assert correlate(cancelled, worse, SETTINGS) is Correlation.NEW
    assert correlate(cancelled, a_report(at=after(days=1)), SETTINGS) is Correlation.NEW
    over = turned(cancelled, cleared(after(minutes=1))).incident
    assert correlate(over, same, SETTINGS) is Correlation.NEW


def test_what_was_cleared_is_resolved_only_when_that_has_lasted() -> None:
    gone = turned(declared().incident, cleared(after(minutes=1))).incident
    assert due_times(gone, SETTINGS)[IncidentTimer.STABILITY] == after(minutes=1, seconds=30)
    again = turned(gone, partial(lifecycle.absorb, report=a_report(at=after(minutes=1, seconds=10))))
    assert IncidentTimer.STABILITY not in due_times(again.incident, SETTINGS)
    assert [entry.kind for entry in again.entries] == ["returned"]


def test_a_clearing_that_is_older_than_the_last_sighting_is_none() -> None:
    incident = turned(declared().incident, partial(lifecycle.absorb, report=a_report(HALF, after(minutes=5)))).incident
    assert not turned(incident, cleared(after(minutes=4))).changed


def test_a_reopened_incident_starts_a_new_record_and_tells_again() -> None:
    acknowledged = turned(declared().incident, Acknowledge().apply, at=after(minutes=1)).incident
    ended = turned(acknowledged, Resolve(resolution="mended", anyway=True).apply, at=after(hours=1)).incident
    turn = turned(ended, partial(lifecycle.reopen, reason="it is back"), at=after(hours=1, minutes=30))
    incident = turn.incident
    assert (incident.status, incident.clock.number, incident.acknowledged) == (IncidentStatus.REOPENED, 1, False)
    assert incident.clock.started_at == after(hours=1, minutes=30)
    assert (incident.acknowledged_at, incident.resolved_at) == (after(minutes=1), None)
    assert said(turn) == [("initial", "initial-2", ("ada",))]
    assert IncidentTimer.WATCH not in due_times(incident, SETTINGS)


def test_maintenance_keeps_quiet_and_then_judges_again() -> None:
    quiet = turned(declared().incident, Suppress(until=after(hours=1), reason="new disk").apply, at=after(minutes=1))
    assert quiet.stops_pages
    assert due_times(quiet.incident, SETTINGS) == {IncidentTimer.SUPPRESSION: after(hours=1)}
    worse = turned(quiet.incident, partial(lifecycle.absorb, report=a_report(ALL_AGENTS, after(minutes=2))))
    assert (worse.incident.severity, said(worse)) == (Severity.P0, [])
    awake = turned(worse.incident, lifecycle.end_suppression, at=after(hours=1))
    assert awake.incident.clock.started_at == after(hours=1)
    assert said(awake)[0] == ("initial", "initial-2", ("ada", "ben", "cleo", "sec"))


@pytest.mark.parametrize(
    "handling", [Resolve(resolution="mended", anyway=True).apply, CancelIncident(reason="false alarm").apply]
)
def test_maintenance_does_not_swallow_the_end_for_those_who_were_told_before(handling: Handling) -> None:
    hush = Suppress(until=after(hours=1), reason="new disk").apply
    quiet = turned(declared().incident, hush).incident
    assert [each.contacts[0].id for each in turned(quiet, handling).notifications] == ["ada"]
    never_told = replace(quiet, notified=())
    assert turned(never_told, handling).notifications == []


def test_a_real_report_makes_a_drill_real() -> None:
    drill = declared(a_report(drill=True)).incident
    assert drill.drill
    turn = turned(drill, partial(lifecycle.absorb, report=a_report(at=after(minutes=1))))
    assert not turn.incident.drill
    assert said(turn) == [("update", "real", ("ada",))]


def test_a_second_drill_does_not_make_a_real_incident_a_drill() -> None:
    report: TroubleReport = a_report(at=after(minutes=1), drill=True)
    assert not turned(declared().incident, partial(lifecycle.absorb, report=report), actor=ADA).incident.drill


def test_another_cause_in_an_open_incident_is_news_for_everybody_and_for_the_playbook() -> None:
    first = a_report(causes=("provider-down first",), title="Provider first is unavailable")
    incident = turned(declared(first).incident, BeginMitigation("route past it").apply).incident
    same = turned(incident, partial(lifecycle.absorb, report=replace(first, at=after(minutes=1))))
    assert (same.incident.responses, same.notifications) == (0, [])
    both = replace(
        first, at=after(minutes=2), causes=(*first.causes, "provider-errors first"), title="Provider first (and 1 more)"
    )
    change = turned(incident, partial(lifecycle.absorb, report=both), at=after(minutes=2))
    assert (change.incident.title, change.incident.responses) == ("Provider first (and 1 more)", 1)
    assert change.incident.attempted_actions == ("route past it",)
    (told,) = [one for one in change.notifications if one.kind is NoticeKind.UPDATE]
    assert {contact.id for contact in told.contacts} == set(incident.notified)
    assert "another cause: Provider first (and 1 more)" in told.reason
    other = replace(both, causes=("provider-errors first",), title="Calls to first fail")
    alone = turned(incident, partial(lifecycle.absorb, report=other), at=after(minutes=2)).incident
    assert (alone.title, alone.attempted_actions) == ("Calls to first fail", ())


def test_what_returns_with_another_cause_is_another_incident() -> None:
    incident = replace(resolved_at(after(minutes=5)), causes=("agent-failed reviewer time-limit",))
    back = a_report(at=after(minutes=6), causes=("agent-failed reviewer time-limit",))
    assert correlate(incident, back, SETTINGS) is Correlation.REOPENS
    assert correlate(incident, replace(back, causes=("agent-failed reviewer own-code",)), SETTINGS) is Correlation.NEW
    assert correlate(replace(incident, causes=()), back, SETTINGS) is Correlation.REOPENS
