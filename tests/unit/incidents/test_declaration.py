"""An incident that a person declares: what it says, how bad it is, and who may end it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents import conditions, lifecycle, resolution
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.declaration import Declare
from orchestration.incidents.commands.merge import Merge, absorb
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.escalation import IncidentTimer, due_times
from orchestration.incidents.lifecycle import Correlation
from orchestration.incidents.model import IncidentRefusedError
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.severity import SeverityReason
from orchestration.notifications.notice import NoticeKind
from tests.support.incidents import MACHINE, NOON, a_report, after, declared, some_settings, turned

SHOP = Declare("The shop is down", impact="nobody can pay", started_at=after(minutes=-20), severity=Severity.P1)


def told(command: Declare = SHOP, by: str = "ada") -> TroubleReport:
    return command.report(by, NOON)


def test_it_is_a_fact_of_that_person_with_its_start_and_its_impact() -> None:
    change = declared(told(replace(SHOP, subject="shop")))
    found = change.incident
    assert (found.source, found.external, found.asserted_by) == ("person", True, "ada")
    assert (found.impact, found.impact_started_at, found.detected_at) == (SHOP.impact, after(minutes=-20), NOON)
    assert found.labels == {"subject": "shop"}
    assert [(entry.kind, entry.actor) for entry in change.entries] == [("detected", "ada")]


def test_it_is_paged_like_any_other_and_nobody_has_it() -> None:
    change = declared(told())
    [page] = change.notifications
    assert page.kind is NoticeKind.INITIAL
    assert [contact.id for contact in page.contacts] == ["ada", "ben"]
    assert not change.incident.acknowledged
    assert IncidentTimer.PAGE in due_times(change.incident, some_settings())


@pytest.mark.parametrize(
    ("command", "severity", "reason"),
    [
        (Declare("x"), Severity.P2, SeverityReason.UNSURE),
        (Declare("x", scenario=Scenario.SECURITY_ALERT), Severity.P1, SeverityReason.UNSURE),
        (Declare("x", severity=Severity.P3), Severity.P3, SeverityReason.DECLARED),
        (Declare("x", has_workaround=True), Severity.P3, SeverityReason.WORKAROUND),
        (Declare("x", breach=True), Severity.P0, SeverityReason.BREACH),
        # Whatever a person calls it, lost data is the worst.
        (Declare("x", severity=Severity.P3, data_loss=True), Severity.P0, SeverityReason.DATA_LOSS),
    ],
)
def test_the_severity_is_that_of_the_person_or_of_the_rules(
    command: Declare, severity: Severity, reason: SeverityReason
) -> None:
    found = declared(told(command)).incident
    assert (found.severity, found.severity_reason) == (severity, reason)


def test_a_start_to_come_is_refused_and_a_clock_somewhat_ahead_means_now() -> None:
    with pytest.raises(UsageError, match="that is past, got 2026-03-03 12:02 UTC"):
        told(replace(SHOP, started_at=after(minutes=2)))
    assert told(replace(SHOP, started_at=after(seconds=59))).started_at == NOON
    with pytest.raises(UsageError, match="an empty one"):
        told(Declare(" \n"))


def test_only_a_person_ends_it_whatever_is_observed() -> None:
    incident = declared(told()).incident
    quiet = turned(incident, lambda change: conditions.clear(change, incident.key, after(hours=1), observed=True))
    assert resolution.due_at(quiet.incident, some_settings()) is None
    with pytest.raises(IncidentRefusedError, match="rests on the word of ada"):
        turned(incident, Resolve("nothing seen").apply, actor=MACHINE)
    ended = turned(incident, Resolve("restarted the shop").apply, at=after(hours=1)).incident
    assert (ended.status, ended.ended_by) == (IncidentStatus.RESOLVED, "person")


def test_what_is_said_again_adds_what_was_missing_and_takes_nothing_back() -> None:
    first = declared(told(Declare("The shop is down", severity=Severity.P2))).incident
    again = turned(first, lambda change: lifecycle.absorb(change, told()), at=after(minutes=1)).incident
    assert (again.severity, again.impact, again.impact_started_at) == (Severity.P1, SHOP.impact, SHOP.started_at)
    assert not again.known_conditions
    third = told(replace(SHOP, impact="somebody can pay", started_at=after(minutes=-2), severity=Severity.P3))
    assert turned(again, lambda change: lifecycle.absorb(change, third), at=after(minutes=2)).incident == again


def test_after_a_false_alarm_a_person_may_declare_it_all_the_same() -> None:
    cancelled = turned(declared(told()).incident, CancelIncident("a test").apply).incident
    report = SHOP.report("ben", after(minutes=1))
    assert lifecycle.correlate(cancelled, report, some_settings()) is Correlation.NEW


def test_an_alert_that_is_merged_into_it_does_not_end_it() -> None:
    alert, shop = declared(a_report()).incident, declared(told()).incident
    both = turned(replace(shop, id="inc-2"), lambda change: absorb(change, alert)).incident
    gone = turned(both, lambda change: conditions.clear(change, alert.key, after(hours=1), observed=True)).incident
    assert resolution.due_at(gone, some_settings()) is None
    assert turned(alert, Merge("inc-2").apply).incident.merged_into == "inc-2"


@given(
    times=st.lists(st.integers(0, 3600), min_size=1, max_size=8),
    spelling=st.sampled_from(["The shop is down", "the  shop is DOWN", " The shop\nis down "]),
)
def test_however_often_it_is_repeated_it_is_one_incident_that_says_the_same(times: list[int], spelling: str) -> None:
    incident = first = declared(told()).incident
    for seconds in sorted(times):
        report = replace(SHOP, title=spelling).report("ada", NOON + timedelta(seconds=seconds))
        assert report.key == first.key
        assert lifecycle.correlate(incident, report, some_settings()) is Correlation.JOINS
        change = turned(incident, lambda one, report=report: lifecycle.absorb(one, report), at=report.at)  # type: ignore[misc]
        assert (change.entries, change.notifications) == ([], [])
        incident = change.incident
    assert incident == first
