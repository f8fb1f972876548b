"""The SLA clock: targets by severity, states, changes of severity, reopening."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.response import ResponseSettings, TargetSettings
from orchestration.domain.severity import Severity
from orchestration.incidents import sla
from orchestration.incidents.sla import SlaClock, TargetKind, TargetState
from tests.support.incidents import NOON, after

SETTINGS = ResponseSettings()
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SPANS = st.integers(0, 20 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("severity", "response", "resolution"),
    [
        (Severity.P0, after(minutes=15), after(hours=4)),
        (Severity.P1, after(hours=1), after(hours=8)),
        (Severity.P2, after(hours=4), after(days=3)),
        (Severity.P3, after(days=1, hours=5), after(days=1, hours=5)),
    ],
)
def test_each_severity_has_the_playbooks_time(severity: Severity, response: datetime, resolution: datetime) -> None:
    clock = sla.start(severity, SETTINGS, NOON)
    assert (clock.response_due, clock.resolution_due) == (response, resolution)


@pytest.mark.parametrize(
    ("minutes", "state"),
    [
        (0, TargetState.ON_TRACK),
        (11, TargetState.ON_TRACK),
        (11.25, TargetState.AT_RISK),
        (14.99, TargetState.AT_RISK),
        (15, TargetState.BREACHED),
        (500, TargetState.BREACHED),
    ],
)
def test_three_quarters_of_the_time_are_a_risk_and_all_of_it_is_a_breach(minutes: float, state: TargetState) -> None:
    clock = sla.start(Severity.P0, SETTINGS, NOON)
    assert clock.state(TargetKind.RESPONSE, after(minutes=minutes), SETTINGS.at_risk_percent) is state


@pytest.mark.parametrize(("minutes", "state"), [(14.99, TargetState.MET), (15, TargetState.BREACHED)])
def test_what_was_met_or_breached_stays_so(minutes: float, state: TargetState) -> None:
    clock = replace(sla.start(Severity.P0, SETTINGS, NOON), acknowledged_at=after(minutes=minutes))
    assert clock.state(TargetKind.RESPONSE, after(days=9), 75) is state


def test_what_resolves_by_itself_needed_no_response() -> None:
    clock = replace(sla.start(Severity.P0, SETTINGS, NOON), resolved_at=after(minutes=1))
    assert clock.state(TargetKind.RESPONSE, after(days=1), 75) is TargetState.MET


def test_a_target_of_ones_own_counts() -> None:
    settings = ResponseSettings(targets={Severity.P3: TargetSettings(response=60, resolution=120)})
    clock = sla.start(Severity.P3, settings, NOON)
    assert (clock.response_due, clock.resolution_due) == (after(minutes=1), after(minutes=2))
    assert sla.start(Severity.P0, settings, NOON).response_due == after(minutes=15)


@given(MOMENTS, st.sampled_from(Severity), st.sampled_from(Severity))
def test_a_change_of_severity_counts_from_the_original_start(at: datetime, one: Severity, other: Severity) -> None:
    clock = replace(sla.start(one, SETTINGS, at, number=2), acknowledged_at=at)
    changed = sla.recompute(clock, other, SETTINGS)
    fresh = sla.start(other, SETTINGS, at)
    assert (changed.response_due, changed.resolution_due) == (fresh.response_due, fresh.resolution_due)
    assert (changed.started_at, changed.number, changed.acknowledged_at) == (at, 2, at)


@given(MOMENTS, st.sampled_from(Severity), st.sampled_from(TargetKind), SPANS, SPANS)
def test_a_running_target_only_gets_worse(
    at: datetime, severity: Severity, kind: TargetKind, one: timedelta, more: timedelta
) -> None:
    order = [TargetState.ON_TRACK, TargetState.AT_RISK, TargetState.BREACHED]
    clock = sla.start(severity, SETTINGS, at)
    earlier, later = (clock.state(kind, at + span, 75) for span in (one, one + more))
    assert order.index(earlier) <= order.index(later)


@given(MOMENTS, st.sampled_from(Severity), st.sampled_from(TargetKind), SPANS, SPANS)
def test_a_stopped_target_is_met_exactly_when_it_stopped_in_time(
    at: datetime, severity: Severity, kind: TargetKind, stop: timedelta, later: timedelta
) -> None:
    stopped = at + stop
    clock: SlaClock = replace(sla.start(severity, SETTINGS, at), acknowledged_at=stopped, resolved_at=stopped)
    state = clock.state(kind, stopped + later, 75)
    assert state is (TargetState.MET if stopped < clock.due(kind) else TargetState.BREACHED)


@given(MOMENTS)
def test_a_worse_severity_is_never_given_more_time(at: datetime) -> None:
    clocks = [sla.start(severity, SETTINGS, at) for severity in (Severity.P0, Severity.P1, Severity.P2)]
    assert [clock.response_due for clock in clocks] == sorted(clock.response_due for clock in clocks)
    assert [clock.resolution_due for clock in clocks] == sorted(clock.resolution_due for clock in clocks)
