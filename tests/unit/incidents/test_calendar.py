"""Business hours, in local days, over both edges of daylight saving."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.config.response import BusinessHours
from orchestration.incidents.calendar import BusinessCalendar

VIENNA = ZoneInfo("Europe/Vienna")
FRIDAY = datetime(2026, 3, 6, 16, 0, tzinfo=UTC)
PLAIN = BusinessCalendar(BusinessHours())
ZONES = st.sampled_from(["UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_four_hours_from_friday_afternoon_end_on_monday_at_noon() -> None:
    assert PLAIN.add(FRIDAY, timedelta(hours=4)) == datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


def test_from_friday_afternoon_to_monday_at_ten_two_hours_are_worked() -> None:
    assert PLAIN.elapsed(FRIDAY, datetime(2026, 3, 9, 10, 0, tzinfo=UTC)) == timedelta(hours=2)


@pytest.mark.parametrize(
    ("detected", "due"),
    [
        (datetime(2026, 3, 3, 8, 0, tzinfo=UTC), datetime(2026, 3, 4, 17, 0, tzinfo=UTC)),
        (datetime(2026, 3, 6, 23, 0, tzinfo=UTC), datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
        (datetime(2026, 3, 7, 1, 0, tzinfo=UTC), datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
        (datetime(2026, 3, 8, 23, 59, tzinfo=UTC), datetime(2026, 3, 9, 17, 0, tzinfo=UTC)),
        (datetime(2026, 3, 9, 0, 0, tzinfo=UTC), datetime(2026, 3, 10, 17, 0, tzinfo=UTC)),
    ],
)
def test_the_next_business_day_is_strictly_after_the_day_of_detection(detected: datetime, due: datetime) -> None:
    assert PLAIN.next_close(detected) == due


def test_the_day_of_detection_is_the_local_one() -> None:
    calendar = BusinessCalendar(BusinessHours(time_zone="Pacific/Auckland"))
    late_on_monday_here_tuesday_there = datetime(2026, 7, 6, 23, 0, tzinfo=UTC)
    assert calendar.next_close(late_on_monday_here_tuesday_there).astimezone(ZoneInfo("Pacific/Auckland")) == datetime(
        2026, 7, 8, 17, 0, tzinfo=ZoneInfo("Pacific/Auckland")
    )


@pytest.mark.parametrize(
    ("detected", "utc_hour"),
    [
        (datetime(2026, 3, 27, 12, 0, tzinfo=UTC), 15),  # Friday in winter, Monday in summer
        (datetime(2026, 10, 23, 12, 0, tzinfo=UTC), 16),  # and back
    ],
)
def test_close_of_business_is_by_the_clock_on_the_wall_over_both_changes(detected: datetime, utc_hour: int) -> None:
    due = BusinessCalendar(BusinessHours(time_zone="Europe/Vienna")).next_close(detected)
    assert (due.astimezone(VIENNA).time(), due.hour) == (time(17, 0), utc_hour)


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 7), (date(2026, 10, 25), 9)])
def test_a_working_night_is_as_long_as_it_really_is(day: date, hours: int) -> None:
    nights = BusinessHours(time_zone="Europe/Vienna", days=("sunday",), start=time(0, 0), end=time(8, 0))
    start = datetime.combine(day, time(0, 0), VIENNA)
    assert BusinessCalendar(nights).elapsed(start, start + timedelta(days=1)) == timedelta(hours=hours)


def test_an_opening_that_the_clocks_skip_begins_after_the_gap() -> None:
    skipped = BusinessHours(time_zone="Europe/Vienna", days=("sunday",), start=time(2, 30), end=time(4, 0))
    day = datetime(2026, 3, 29, 0, 0, tzinfo=VIENNA)
    assert BusinessCalendar(skipped).elapsed(day, day + timedelta(days=1)) == timedelta(minutes=30)


def test_public_holidays_and_those_of_the_house_are_no_business_days() -> None:
    hours = BusinessHours(time_zone="Europe/Vienna", country="AT", holidays=(date(2026, 4, 7),))
    thursday_before_easter = datetime(2026, 4, 3, 10, 0, tzinfo=UTC)
    # Monday the 6th is Easter Monday, Tuesday the 7th the house's own.
    assert BusinessCalendar(hours).next_close(thursday_before_easter) == datetime(2026, 4, 8, 15, 0, tzinfo=UTC)


def test_holidays_of_a_part_of_a_country() -> None:
    corpus_christi = date(2026, 6, 4)
    assert not BusinessCalendar(BusinessHours(country="DE", subdivision="BY")).is_business_day(corpus_christi)
    assert BusinessCalendar(BusinessHours(country="DE", subdivision="BE")).is_business_day(corpus_christi)


@pytest.mark.parametrize(
    "wrong",
    [
        {"start": "17:00", "end": "09:00"},
        {"time_zone": "Mars/Olympus"},
        {"country": "XX"},
        {"country": "DE", "subdivision": "XX"},
        {"days": []},
    ],
)
def test_hours_that_cannot_be_kept_are_refused_in_the_configuration(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BusinessHours.model_validate(wrong)


@given(ZONES, MOMENTS, st.integers(0, 200_000))
def test_what_is_added_is_what_has_elapsed(zone: str, moment: datetime, seconds: int) -> None:
    calendar = BusinessCalendar(BusinessHours(time_zone=zone, holidays=(date(2026, 12, 25),)))
    working = timedelta(seconds=seconds)
    assert calendar.elapsed(moment, calendar.add(moment, working)) == working


@given(ZONES, MOMENTS, MOMENTS, MOMENTS)
def test_elapsed_time_adds_up_and_never_exceeds_the_wall_clock(
    zone: str, one: datetime, two: datetime, three: datetime
) -> None:
    calendar = BusinessCalendar(BusinessHours(time_zone=zone))
    first, second, third = sorted((one, two, min(three, max(one, two) + timedelta(days=60))))
    third = min(third, first + timedelta(days=60))
    second = min(second, third)
    whole = calendar.elapsed(first, third)
    assert whole == calendar.elapsed(first, second) + calendar.elapsed(second, third)
    assert timedelta() <= whole <= third - first


@given(ZONES, MOMENTS)
def test_the_next_close_is_a_later_business_day_and_no_business_day_lies_between(zone: str, moment: datetime) -> None:
    hours = BusinessHours(time_zone=zone)
    calendar = BusinessCalendar(hours)
    local, due = moment.astimezone(ZoneInfo(zone)).date(), calendar.next_close(moment).astimezone(ZoneInfo(zone))
    assert calendar.is_business_day(due.date())
    assert due.time() == hours.end
    between = [local + timedelta(days=number) for number in range(1, (due.date() - local).days)]
    assert due.date() > local
    assert not any(calendar.is_business_day(day) for day in between)
