"""RecurrenceRule rules of RFC 5545, against times that were counted by hand and a calendar library."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.recurrence import RecurrenceError, RecurrenceRule, validate

VIENNA = "Europe/Vienna"
EVENING = datetime(2026, 1, 6, 22, 0)  # noqa: DTZ001 — a local time; a Tuesday


def of(rule: str, start: datetime = EVENING, zone: str = VIENNA, *without: date) -> RecurrenceRule:
    return RecurrenceRule(rule, start, zone, frozenset(without))


def following(recurrence: RecurrenceRule, count: int, after: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> list[str]:
    found: list[str] = []
    while len(found) < count and (due := recurrence.next_due(after)) is not None:
        found.append(f"{due.astimezone(ZoneInfo(recurrence.zone)):%Y-%m-%d %H:%M}")
        assert recurrence.last_due(due) == due
        before = recurrence.last_due(due - timedelta(microseconds=1))
        assert before is None or before < due
        after = due
    return found


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU", ["2026-01-06 22:00", "2026-01-20 22:00", "2026-02-03 22:00"]),
        ("RRULE:FREQ=MONTHLY;BYDAY=-1FR", ["2026-01-30 22:00", "2026-02-27 22:00", "2026-03-27 22:00"]),
        ("freq=monthly;byday=2tu", ["2026-01-13 22:00", "2026-02-10 22:00", "2026-03-10 22:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-01-31 22:00", "2026-03-31 22:00", "2026-05-31 22:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-01-30 22:00", "2026-02-27 22:00", "2026-03-31 22:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29 22:00", "2032-02-29 22:00", "2036-02-29 22:00"]),
        ("FREQ=DAILY;BYHOUR=1,13", ["2026-01-07 01:00", "2026-01-07 13:00", "2026-01-08 01:00"]),
        ("FREQ=DAILY;COUNT=2", ["2026-01-06 22:00", "2026-01-07 22:00"]),
        ("FREQ=DAILY;UNTIL=20260107", ["2026-01-06 22:00", "2026-01-07 22:00"]),
        ("FREQ=DAILY;UNTIL=20260107T205959Z", ["2026-01-06 22:00"]),
        ("FREQ=DAILY;UNTIL=20260107T210000Z", ["2026-01-06 22:00", "2026-01-07 22:00"]),
    ],
)
def test_a_rule_is_due_when_its_words_say(rule: str, expected: list[str]) -> None:
    validate(of(rule))
    assert following(of(rule), 3) == expected


def test_the_local_time_stays_the_same_when_the_clock_changes() -> None:
    weekly = of("FREQ=WEEKLY;BYDAY=SU", datetime(2026, 3, 15, 2, 30))  # noqa: DTZ001
    assert following(weekly, 4) == ["2026-03-15 02:30", "2026-03-22 02:30", "2026-03-29 03:30", "2026-04-05 02:30"]
    twice = weekly.next_due(datetime(2026, 10, 24, tzinfo=UTC))
    assert twice == datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "the first of two"


def test_an_excluded_date_is_left_out_and_counts_all_the_same() -> None:
    christmas = of("FREQ=WEEKLY;BYDAY=TH;COUNT=3", datetime(2026, 12, 17, 2), VIENNA, date(2026, 12, 24))  # noqa: DTZ001
    assert following(christmas, 3) == ["2026-12-17 02:00", "2026-12-31 02:00"]


@pytest.mark.parametrize(
    "rule",
    ["", "FREQ=", "FREQ=SECONDLY", "FREQ=HOURLY", "BYDAY=MO", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1",
     "FREQ=DAILY;COUNT=0", "FREQ=DAILY;COUNT=1;UNTIL=20270101", "FREQ=DAILY;UNTIL=2027", "FREQ=DAILY;BYSECOND=1",
     "FREQ=DAILY;FREQ=WEEKLY", "FREQ=MONTHLY;BYDAY=0MO", "FREQ=WEEKLY;BYDAY=XX", "FREQ=YEARLY;BYMONTH=13",
     "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;UNTIL=20250101", "FREQ=DAILY;BYEASTER=1", "x" * 400,
     "FREQ=DAILY;BYHOUR=99", "FREQ=DAILY;UNTIL=20260101T999999"],
)  # fmt: skip
def test_a_rule_that_cannot_be_used_is_refused_at_once(rule: str) -> None:
    with pytest.raises(RecurrenceError):
        validate(of(rule))


part = st.sampled_from(
    ["FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY", "INTERVAL=999", "COUNT=7", "BYDAY=MO,-1FR",
     "BYDAY=5SU", "BYMONTH=0", "BYMONTH=2,13", "BYMONTHDAY=-31", "BYYEARDAY=366", "BYWEEKNO=53", "BYSETPOS=-9",
     "BYHOUR=23,24", "WKST=XX", "WKST=SU", "BYDAY=+", "BYMONTHDAY=,", "UNTIL=99991231", "UNTIL=00010101T000000Z",
     "INTERVAL=1e9"]
)  # fmt: skip
RULES = st.lists(part, max_size=6).map(";".join) | st.text(max_size=30)


@settings(max_examples=200, deadline=None)
@given(RULES, st.sampled_from([VIENNA, "Pacific/Apia"]))
@example("UNTIL=99991231;FREQ=DAILY", "Pacific/Apia")
def test_whatever_a_rule_says_it_is_refused_or_answered(rule: str, zone: str) -> None:
    recurrence = of(rule, zone=zone)
    with suppress(RecurrenceError):
        validate(recurrence)
        check_answers(recurrence)


def check_answers(recurrence: RecurrenceRule) -> None:
    # The first lies in the day that Samoa left out when it crossed the date line.
    for moment in (datetime(2011, 12, 30, 12, tzinfo=UTC), datetime(2026, 1, 6, 20, tzinfo=UTC)):
        due = recurrence.next_due(moment)
        assert due is None or due > moment
        last = recurrence.last_due(moment)
        assert last is None or last <= moment


fitting = st.one_of(
    st.builds("FREQ=WEEKLY;INTERVAL={};BYDAY={}".format, st.integers(1, 4), st.sampled_from(["TU", "TU,FR", "SU,TU"])),
    st.builds("FREQ=MONTHLY;INTERVAL={};BYDAY=1TU".format, st.integers(1, 3)),
    st.builds("FREQ=DAILY;INTERVAL={}".format, st.integers(1, 20)),
    st.builds("FREQ=YEARLY;BYMONTH=1,7;BYDAY={}TU".format, st.sampled_from(["1", "1TU,-1"])),
)


@settings(max_examples=60, deadline=None)
@given(fitting, st.integers(0, 700), st.sampled_from([VIENNA, "America/New_York", "Australia/Lord_Howe", "UTC"]))
def test_a_calendar_with_the_same_rule_has_the_same_times(rule: str, days: int, zone: str) -> None:
    event = icalendar.Event()
    event.add("uid", "1")
    event.add("dtstart", EVENING.replace(tzinfo=ZoneInfo(zone)))
    event.add("duration", timedelta(hours=1))
    event["rrule"] = icalendar.vRecur.from_ical(rule)
    calendar = icalendar.Calendar()
    calendar.add_component(event)
    begin = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(days=days)
    end = begin + timedelta(days=60)
    expected = [one.start.astimezone(UTC) for one in recurring_ical_events.of(calendar).between(begin, end)]
    recurrence, found, after = of(rule, zone=zone), [], begin - timedelta(microseconds=1)
    while (due := recurrence.next_due(after)) is not None and due < end:
        found.append(due)
        after = due
    # An event that has begun before is between the two for the library.
    assert found == sorted(one for one in expected if one >= begin)
