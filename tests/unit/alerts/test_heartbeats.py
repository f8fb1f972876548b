"""When a heartbeat is late: by its period or its expression, over any time in which nobody listened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestration.alerts.heartbeats import alerts
from orchestration.alerts.heartbeats.state import HeartbeatStatus, after_gap, judge
from orchestration.config.alerting import HeartbeatSettings
from orchestration.config.checks.alerting import check
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.schema import Configuration
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow
from tests.support.incidents import NOON

HOURLY = HeartbeatSettings(period=3600, grace=600)
NIGHTLY = HeartbeatSettings(cron="0 2 * * *", time_zone="Europe/Vienna", grace=3600)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("known", "now", "status", "since"),
    [
        ({}, 0, "new", 0),
        ({}, 70, "new", 0),
        ({}, 70.1, "late", 60),
        ({"heard_at": at(30)}, 100, "up", 30),
        ({"heard_at": at(30)}, 100.1, "late", 90),
        ({"heard_at": at(30), "started_at": at(50)}, 60, "started", 50),
        ({"heard_at": at(30), "started_at": at(50)}, 60.1, "late", 60),
        ({"heard_at": at(30), "failed_at": at(40)}, 41, "failed", 40),
        # Once late, it stays so until it is heard, whatever happens meanwhile.
        ({"heard_at": at(0), "down_since": at(71), "gap_until": at(300)}, 301, "late", 60),
        ({"heard_at": at(302), "down_since": at(71)}, 303, "up", 302),
        # A clock that was an hour ahead for a while does not silence it for longer than its period.
        ({"heard_at": at(90)}, 30, "up", 30),
    ],
)
def test_how_a_heartbeat_is(known: dict[str, Any], now: float, status: str, since: float) -> None:
    found = judge(HeartbeatMonitorRow("x", NOON, **known), HOURLY, at(now), at(now))
    assert (found.status, found.since) == (status, at(since))


def test_a_cron_expression_counts_in_its_time_zone() -> None:
    row = HeartbeatMonitorRow("backup", NOON)
    before, after = (judge(row, NIGHTLY, at(60 * 14 + minute), at(60 * 14 + minute)) for minute in (0, 1))
    assert (before.status, before.due_at, before.deadline) == ("new", at(60 * 13), at(60 * 14))
    assert (after.status, after.since) == ("late", at(60 * 13))


def test_without_a_server_that_listens_nothing_is_late() -> None:
    assert judge(HeartbeatMonitorRow("x", NOON), HOURLY, at(500), at(60)).status is HeartbeatStatus.NEW


@pytest.mark.parametrize(
    ("settings", "start", "end", "deadline"),
    [
        # In the first half of the period nothing can get lost that was due.
        (HOURLY, 1, 29, 70),
        (HOURLY, 40, 50, 120),
        (HOURLY, 40, 400, 470),
        (NIGHTLY, 60, 120, 60 * 14),
        (NIGHTLY, 60 * 13.5, 60 * 13.6, 60 * (14 + 24)),
    ],
)
def test_what_may_have_got_lost_is_waited_for_once_more(
    settings: HeartbeatSettings, start: float, end: float, deadline: float
) -> None:
    row = after_gap(HeartbeatMonitorRow("x", NOON, heard_at=NOON), settings, at(start), at(end))
    assert judge(row, settings, at(end), at(end)).deadline == at(deadline)


GAPS = st.lists(st.tuples(st.floats(0.1, 60), st.floats(0.05, 30)), max_size=12)


def times_of(gaps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Pauses in which nobody listens, from the times in between and their lengths, in minutes."""
    found, now = [], 0.0
    for wait, length in gaps:
        found.append((now + wait, now + wait + length))
        now += wait + length
    return found


@given(GAPS, st.floats(5, 60), st.floats(0, 59))
def test_a_sender_that_keeps_its_period_is_never_late(
    gaps: list[tuple[float, float]], every: float, first: float
) -> None:
    pauses = times_of(gaps)
    signals = [min(first, every) + number * every for number in range(int(600 // every))]
    lost = [any(start <= one < end for start, end in pauses) for one in signals]
    assume(not any(one and other for one, other in itertools.pairwise(lost)))
    changes = [(one, "signal") for one, gone in zip(signals, lost, strict=True) if not gone]
    changes += [(end, "pause") for _, end in pauses]
    starts = {end: start for start, end in pauses}
    row = HeartbeatMonitorRow("x", NOON)
    for now, kind in sorted(changes):
        if now >= signals[-1]:
            break
        if kind == "pause":
            row = after_gap(row, HOURLY, at(starts[now]), at(now))
        assert not judge(row, HOURLY, at(now), at(now)).status.is_down
        if kind == "signal":
            row = HeartbeatMonitorRow("x", NOON, heard_at=at(now))


@given(GAPS)
def test_one_that_has_stopped_is_late_in_the_end_however_often_the_server_is_restarted(
    gaps: list[tuple[float, float]],
) -> None:
    row = HeartbeatMonitorRow("x", NOON, heard_at=NOON)
    for start, end in times_of(gaps):
        row = after_gap(row, HOURLY, at(start), at(end))
    latest = at(2 * 60 + 2 * 10) + timedelta(seconds=row.unheard_seconds)
    now = max(latest, at(times_of(gaps)[-1][1]) if gaps else latest) + timedelta(seconds=1)
    assert judge(row, HOURLY, now, now).status is HeartbeatStatus.LATE


def test_the_alert_says_what_was_expected_and_what_the_job_has_said() -> None:
    settings = replace_settings(HOURLY, description="Restores depend on it.", runbook="https://wiki/backup")
    row = HeartbeatMonitorRow("backup", NOON, failed_at=at(5), exit_code=3, detail="disk full")
    found = alerts.firing(row, settings, judge(row, settings, at(6), at(6)))
    assert found.title == "Heartbeat backup has failed"
    assert found.summary.splitlines() == [
        "expected every 3600 s, 600 s later at most; never heard",
        "failed at 2026-03-03 12:05:00 UTC with exit status 3",
        "it said: disk full",
        "Restores depend on it.",
    ]
    assert (found.at, found.start_known, found.details) == (at(5), True, {"runbook_url": "https://wiki/backup"})
    back = alerts.resolved("backup", settings, at(9))
    assert (back.firing, back.fingerprint, back.labels) == (False, found.fingerprint, found.labels)
    running = replace(row, failed_at=None, started_at=at(1))
    assert (
        "has started and not ended" in alerts.firing(running, settings, judge(running, settings, at(20), at(20))).title
    )


def replace_settings(settings: HeartbeatSettings, **values: Any) -> HeartbeatSettings:
    return settings.model_copy(update=values)


@pytest.mark.parametrize(
    ("heartbeat", "code"),
    [
        ({"tokenEnv": "TOKEN"}, FindingCode.HEARTBEAT_INCOMPLETE),
        ({"tokenEnv": "TOKEN", "period": 60, "cron": "* * * * *"}, FindingCode.HEARTBEAT_INCOMPLETE),
        ({"tokenEnv": "TOKEN", "cron": "soon"}, FindingCode.BAD_CRON),
        ({"period": 60, "alerts": ["alertname"]}, FindingCode.BAD_MATCHER),
        ({"period": 60}, FindingCode.HEARTBEAT_CLOSED),
        ({"period": 60, "tokenEnv": "UNSET"}, FindingCode.HEARTBEAT_CLOSED),
        ({"period": 60, "tokenEnv": "TOKEN"}, None),
        ({"period": 60, "alerts": ['alertname="Watchdog"']}, None),
    ],
)
def test_a_heartbeat_that_cannot_work_is_a_finding(heartbeat: dict[str, Any], code: FindingCode | None) -> None:
    configuration = Configuration.model_validate({"alerting": {"heartbeats": {"backup": heartbeat}}})
    found = [problem.code for problem in check(configuration, CheckEnvironment(frozenset({"TOKEN"})))]
    assert found == ([code] if code else [])
