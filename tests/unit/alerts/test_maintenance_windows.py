from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.alerts.maintenance_windows import current, silences_of, upcoming
from orchestration.config.alerting import MaintenanceWindowSettings

# With half hours and three quarters, with a change of half an hour (Lord Howe), and one that skips midnight (Santiago).
ZONES = (
    "UTC", "Europe/Vienna", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Chatham",
    "Australia/Lord_Howe", "America/St_Johns", "America/Santiago", "Africa/Casablanca",
)  # fmt: skip
DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def a_window(cron: str | None = "0 2 * * sun", zone: str = "UTC", **more: object) -> MaintenanceWindowSettings:
    values = {"name": "weekly", "matchers": ('host="web-1"',), "seconds": 7200, "cron": cron, "time_zone": zone}
    return MaintenanceWindowSettings(**{**values, **more})  # type: ignore[arg-type]


@settings(max_examples=150)
@given(MOMENTS, st.sampled_from(ZONES), st.integers(0, 23), st.sampled_from((0, 15, 30, 45)), st.integers(600, 90_000))
@example(datetime(2028, 2, 29, 1, 30, tzinfo=UTC), "Asia/Kathmandu", 7, 15, 3600)
def test_every_day_has_one_window_that_begins_at_the_local_time_and_lasts_as_long_as_it_says(
    moment: datetime, zone: str, hour: int, minute: int, seconds: int
) -> None:
    """By hand, without the cron library: of each local day, the first moment at which the clock shows the time, or
    would have shown it."""
    window = a_window(f"{minute} {hour} * * *", zone, seconds=seconds)
    today = moment.astimezone(ZoneInfo(zone)).date()
    starts = [
        datetime.combine(today + offset * DAY, time(hour, minute), ZoneInfo(zone)).astimezone(UTC)
        for offset in range(-3, 4)
    ]
    began = [start for start in starts if start <= moment < start + timedelta(seconds=seconds)]
    found = current(window, moment)
    assert (found.starts_at if found else None) == max(began, default=None)
    if found:
        assert found.ends_at - found.starts_at == timedelta(seconds=seconds)
    after = [one.starts_at for one in upcoming(window, moment, 3) if one.starts_at > moment]
    assert after[:2] == [start for start in starts if start > moment][:2]


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        # Spring: 02:30 does not exist on 29 March 2026, so it begins when the clock would have shown it, at 03:30.
        ("2026-03-29", "2026-03-29T01:30", "2026-03-29T03:30"),
        # Autumn: 02:30 comes twice on 25 October 2026; the first counts, and the hour in between belongs to it.
        ("2026-10-25", "2026-10-25T00:30", "2026-10-25T02:30"),
    ],
)
def test_both_changes_of_the_clock_leave_a_window_of_its_full_length(day: str, start: str, end: str) -> None:
    window = a_window("30 2 * * sun", "Europe/Vienna")
    noon_before = datetime.fromisoformat(f"{day}T12:00+00:00") - DAY
    (found,) = upcoming(window, noon_before, 1)
    assert found.starts_at == datetime.fromisoformat(f"{start}+00:00")
    assert found.ends_at == datetime.fromisoformat(f"{end}+00:00")


def test_a_window_can_be_of_a_weekday_of_the_month_and_of_a_leap_day() -> None:
    first_sunday = a_window("0 2 * * sun#1")
    found = [one.starts_at.date().isoformat() for one in upcoming(first_sunday, datetime(2026, 1, 1, tzinfo=UTC), 3)]
    assert found == ["2026-01-04", "2026-02-01", "2026-03-01"]
    leap = a_window("0 2 29 2 *")
    (next_leap,) = upcoming(leap, datetime(2026, 1, 1, tzinfo=UTC), 1)
    assert next_leap.starts_at == datetime(2028, 2, 29, 2, tzinfo=UTC)


def test_a_window_by_a_rule_of_calendars_is_in_force_from_each_of_its_times_on() -> None:
    every_other = a_window(
        None, "Europe/Vienna", rrule="FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", start=datetime(2026, 1, 6, 22), seconds=10_800,  # noqa: DTZ001
        except_dates=(date(2026, 2, 3),),
    )  # fmt: skip
    assert every_other.timing == "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU from 2026-01-06 22:00"
    assert current(every_other, datetime(2026, 1, 6, 20, 59, 59, tzinfo=UTC)) is None
    assert current(every_other, datetime(2026, 1, 6, 23, 59, 59, tzinfo=UTC)) is not None
    assert current(every_other, datetime(2026, 1, 7, tzinfo=UTC)) is None
    found = [one.starts_at for one in upcoming(every_other, datetime(2026, 1, 20, 22, tzinfo=UTC), 3)]
    assert found == [
        datetime(2026, 1, 20, 21, tzinfo=UTC),
        datetime(2026, 2, 17, 21, tzinfo=UTC),
        datetime(2026, 3, 3, 21, tzinfo=UTC),
    ], "the one that is in force, and not the one that is left out"
    (silence,) = silences_of([every_other], datetime(2026, 1, 6, 22, tzinfo=UTC))
    assert silence.covers({"host": "web-1"}, datetime(2026, 1, 6, 22, tzinfo=UTC))


def test_a_start_with_an_offset_is_the_same_moment_in_the_zone_of_the_window() -> None:
    window = a_window(None, "Europe/Vienna", rrule="FREQ=DAILY", start=datetime(2026, 1, 6, 21, tzinfo=UTC))
    (summer,) = upcoming(window, datetime(2026, 7, 1, tzinfo=UTC), 1)
    assert summer.starts_at == datetime(2026, 7, 1, 20, tzinfo=UTC), "at 22:00 by the clock there, as in winter"


def test_a_window_in_force_mutes_what_it_names_and_nothing_else() -> None:
    (silence,) = silences_of([a_window(), a_window("0 2 * * mon", name="other")], datetime(2026, 1, 4, 3, tzinfo=UTC))
    assert silence.id == "window-weekly"
    assert silence.covers({"host": "web-1"}, datetime(2026, 1, 4, 3, 59, tzinfo=UTC))
    assert not silence.covers({"host": "web-2"}, datetime(2026, 1, 4, 3, tzinfo=UTC))
    assert not silence.covers({"host": "web-1"}, datetime(2026, 1, 4, 4, tzinfo=UTC))
