from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.cron import last_due, next_due

VIENNA = "Europe/Vienna"
CRONS = ("30 2 * * *", "0 * * * *", "*/20 * * * *", "0 7 * * mon", "30 4 1 * *", "15 2,3 * * sun")
ZONES = ("UTC", VIENNA, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


def at(text: str, zone: str = VIENNA) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-01-05T02:29", "2026-01-05T02:30"),
        ("2026-01-05T02:30", "2026-01-06T02:30"),
        ("2026-03-28T12:00", "2026-03-29T03:30"),  # the clock goes from 2:00 to 3:00
        ("2026-03-29T03:30", "2026-03-30T02:30"),
        ("2026-10-24T12:00", "2026-10-25T02:30"),  # the clock goes from 3:00 back to 2:00
        ("2026-10-25T02:30", "2026-10-26T02:30"),
    ],
)
def test_half_past_two_comes_once_a_day_also_when_the_clock_changes(after: str, due: str) -> None:
    assert next_due("30 2 * * *", VIENNA, at(after)) == at(due)


def test_the_same_expression_means_other_moments_in_other_zones() -> None:
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert next_due("0 7 * * *", "UTC", noon) == datetime(2026, 7, 2, 7, tzinfo=UTC)
    assert next_due("0 7 * * *", VIENNA, noon) == datetime(2026, 7, 2, 5, tzinfo=UTC)


def test_what_never_comes_true_is_never_due() -> None:
    assert next_due("0 0 30 2 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC)) is None


@given(moments, st.sampled_from(CRONS), st.sampled_from(ZONES))
def test_the_next_time_is_later_and_is_the_last_one_once_it_has_come(now: datetime, cron: str, zone: str) -> None:
    due = next_due(cron, zone, now)
    assert due is not None
    assert due > now
    assert last_due(cron, zone, due) == due
    assert last_due(cron, zone, due - timedelta(seconds=1)) <= now


@given(moments, st.sampled_from(CRONS), st.sampled_from(ZONES))
def test_between_the_last_time_and_the_next_there_is_none(now: datetime, cron: str, zone: str) -> None:
    last = last_due(cron, zone, now)
    assert last <= now
    assert next_due(cron, zone, last) == next_due(cron, zone, now)


@given(st.sampled_from(ZONES), st.integers(2026, 2029))
def test_a_daily_job_is_due_as_often_as_the_year_has_days(zone: str, year: int) -> None:
    begin, end = at(f"{year}-01-01T00:00", zone), at(f"{year + 1}-01-01T00:00", zone)
    count, now = 0, begin
    while (due := next_due("30 2 * * *", zone, now)) is not None and due < end:
        assert timedelta(hours=20) < due - now < timedelta(hours=28) or now == begin
        count, now = count + 1, due
    assert count == (366 if year == 2028 else 365)
