from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.config.response import Contact, ContactAddress, OnCallRoster, OnCallRotation
from orchestration.incidents.icalendar_feed import CalendarError, find_contact, read_calendar, write_calendar
from orchestration.incidents.oncall import shifts
from tests.support.incidents import NOON

ADA = Contact(id="ada", name="Ada Lovelace", channels=(ContactAddress(channel="mail", address="ada@example.org"),))
BOB = Contact(id="bob", name="Bob Höher")
PEOPLE = (ADA, BOB, Contact(id="bo", name="Bo"))
ROTATION = OnCallRotation(
    id="primary", members=("ada", "bob"), start=date(2026, 1, 5), hours=12, time_zone="Europe/Vienna"
)
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)


def a_calendar(*events: str) -> str:
    head = "BEGIN:VEVENT\nDTSTAMP:20260101T000000Z\nUID:e"
    listed = [f"{head}{number}\n{event}\nEND:VEVENT" for number, event in enumerate(events)]
    text = "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", *listed, "END:VCALENDAR", ""])
    return text.replace("\n", "\r\n")


def test_what_is_written_is_read_back_and_is_a_calendar_as_the_standard_wants_it() -> None:
    planned = list(shifts(ROTATION, OnCallRoster(), START, START + timedelta(days=60)))
    written = write_calendar(ROTATION, planned, {"bob": "Bob Höher"}, NOON)
    read = read_calendar(written.decode(), ROTATION, PEOPLE, planned[0].since or START, planned[-1].until)
    assert [(one.contact, one.start, one.end) for one in read.shifts] == [
        (one.contact, one.since, one.until) for one in planned
    ]
    lines = written.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert b"\n" not in written.replace(b"\r\n", b"")
    assert all(line.endswith(b"Z") for line in lines if line.startswith((b"DTSTART", b"DTEND", b"DTSTAMP")))
    uids = [line for line in lines if line.startswith(b"UID")]
    assert len(set(uids)) == len(planned)
    later = write_calendar(ROTATION, planned[1:], {}, NOON + timedelta(days=1))
    assert [line for line in later.split(b"\r\n") if line.startswith(b"UID")] == uids[1:], "they stay the same"


def test_a_weekly_event_keeps_its_local_time_and_its_exceptions() -> None:
    text = a_calendar(
        "SUMMARY:On Call - Ada Lovelace - Primary\nDTSTART;TZID=Europe/Vienna:20260302T090000\n"
        "DTEND;TZID=Europe/Vienna:20260303T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=8\n"
        "EXDATE;TZID=Europe/Vienna:20260309T090000",
    )
    moved = (
        "BEGIN:VEVENT\r\nUID:e0\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:bob\r\n"
        "RECURRENCE-ID;TZID=Europe/Vienna:20260316T090000\r\nDTSTART;TZID=Europe/Vienna:20260317T100000\r\n"
        "DTEND;TZID=Europe/Vienna:20260318T100000\r\nEND:VEVENT\r\nEND:VCALENDAR"
    )
    read = read_calendar(text.replace("END:VCALENDAR", moved), ROTATION, PEOPLE, START, END)
    vienna = ZoneInfo("Europe/Vienna")
    assert [(one.contact, f"{one.start.astimezone(vienna):%m-%d %H}") for one in read.shifts] == [
        ("ada", "03-02 09"), ("bob", "03-17 10"), ("ada", "03-23 09"), ("ada", "03-30 09"), ("ada", "04-06 09"),
        ("ada", "04-13 09"), ("ada", "04-20 09"),
    ]  # fmt: skip


def test_whole_days_and_times_without_a_zone_are_local() -> None:
    text = a_calendar(
        "SUMMARY:bob\nDTSTART;VALUE=DATE:20260328\nDTEND;VALUE=DATE:20260330",
        "SUMMARY:ada\nDTSTART:20260401T080000\nDURATION:PT12H",
        "SUMMARY:ada\nDTSTART:20260402T080000Z\nDTEND:20260402T090000Z\nSTATUS:CANCELLED",
        "SUMMARY:Somebody else\nDTSTART:20260403T080000Z\nDTEND:20260403T090000Z",
    )
    read = read_calendar(text, ROTATION, PEOPLE, START, END)
    assert [(one.contact, one.start, one.end) for one in read.shifts] == [
        ("bob", datetime(2026, 3, 27, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("ada", datetime(2026, 4, 1, 6, tzinfo=UTC), datetime(2026, 4, 1, 18, tzinfo=UTC)),
    ]
    assert read.unknown == ("Somebody else",)


@pytest.mark.parametrize(
    ("texts", "who"),
    [
        (["[L1] ada"], "ada"), (["On Call - Bob Höher - Team"], "bob"), (["ada@example.org"], "ada"), (["Bob"], "bob"),
        (["jim-bob", "bo"], "bo"), (["adam"], None), (["bob@other.org"], None), (["", "Bo."], "bo"), ([], None),
    ],
)  # fmt: skip
def test_a_contact_is_found_by_a_whole_name(texts: list[str], who: str | None) -> None:
    assert find_contact(texts, PEOPLE) == who


@pytest.mark.parametrize(
    "text",
    ["", "<html>sign in</html>", "BEGIN:VEVENT\nEND:VEVENT", "BEGIN:VCALENDAR\nBEGIN:VEVENT", "x" * 1_000_001,
     a_calendar("SUMMARY:ada\nDTSTART:20260302T090000Z\nDURATION:PT1S\nRRULE:FREQ=\n SECONDLY"),
     a_calendar("SUMMARY:ada\nDTSTART:20260302T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=NEVER")],
)  # fmt: skip
def test_what_is_no_calendar_or_would_take_for_ever_is_refused(text: str) -> None:
    with pytest.raises(CalendarError):
        read_calendar(text, ROTATION, PEOPLE, START, END)


GOOD = a_calendar("SUMMARY:ada\nDTSTART;TZID=Europe/Vienna:20260302T090000\nDURATION:P1D\nRRULE:FREQ=DAILY;COUNT=3")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.characters()), min_size=1, max_size=4), st.integers(0, 400))
def test_whatever_is_damaged_it_is_read_or_refused(changes: list[tuple[int, str]], cut: int) -> None:
    text = list(GOOD)
    for place, character in changes:
        text[place] = character
    try:
        read = read_calendar("".join(text)[: len(GOOD) - cut], ROTATION, PEOPLE, START, END)
    except CalendarError:
        return
    assert all(one.start < one.end for one in read.shifts)
