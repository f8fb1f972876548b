"""The periods of budgets: every moment is in exactly one, whatever a zone does to its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.domain.budget import BudgetPeriod, period_bounds

# Changes at midnight, at one o'clock to midnight, of half an hour, a day that was left out, and offsets of 45 minutes.
ZONES = (
    *("UTC", "Europe/Vienna", "America/Havana", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe"),
    *("Pacific/Apia", "Asia/Kathmandu", "America/Asuncion", "Atlantic/Azores", "Africa/Cairo", "Asia/Tehran"),
)
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2037, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001 (given UTC)


@given(st.sampled_from(ZONES), st.sampled_from([BudgetPeriod.DAY, BudgetPeriod.MONTH]), MOMENTS)
@example("Pacific/Apia", BudgetPeriod.DAY, datetime(2011, 12, 30, 9, 59, tzinfo=UTC))
@example("America/Sao_Paulo", BudgetPeriod.DAY, datetime(2018, 2, 18, 1, 30, tzinfo=UTC))
@example("America/Sao_Paulo", BudgetPeriod.DAY, datetime(2018, 11, 4, 3, 0, tzinfo=UTC))
@example("America/Havana", BudgetPeriod.MONTH, datetime(2026, 11, 1, 4, 30, tzinfo=UTC))
def test_periods_follow_each_other_without_a_gap(zone: str, period: BudgetPeriod, now: datetime) -> None:
    begins, ends = period_bounds(period, now, zone)
    assert begins <= now < ends
    assert period_bounds(period, ends, zone)[0] == ends
    assert period_bounds(period, begins, zone) == (begins, ends)
    assert period_bounds(period, begins - timedelta(microseconds=1), zone)[1] == begins
    local = now.astimezone(ZoneInfo(zone))
    assert begins.astimezone(ZoneInfo(zone)).month == local.month
    assert period is BudgetPeriod.MONTH or begins.astimezone(ZoneInfo(zone)).date() == local.date()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
def test_a_day_is_as_long_as_its_zone_makes_it(day: str, hours: int) -> None:
    begins, ends = period_bounds(BudgetPeriod.DAY, datetime.fromisoformat(f"{day}T12:00:00+00:00"), "Europe/Vienna")
    assert ends - begins == timedelta(hours=hours)
    assert begins.astimezone(ZoneInfo("Europe/Vienna")).hour == 0
