"""A rotation that a calendar plans, read from a real HTTP server that does not always behave."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.app.doctor.examination import examine
from orchestration.app.oncall import OnCallRosterReader
from orchestration.app.oncall_calendars import OnCallCalendarReader, states
from orchestration.clock import FakeClock
from orchestration.config.response import ResponseSettings
from orchestration.incidents.oncall import duties
from orchestration.storage.database import Database
from orchestration.storage.oncall import OnCallCalendars
from tests.integration.incidents.test_console import Console
from tests.support.database import migrated
from tests.support.receivers import Answer, HttpReceiver, http_receiver

MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)
PEOPLE = [{"id": name, "channels": [{"channel": "log"}]} for name in ("ada", "bob", "cyd")]


@pytest.fixture
def server() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    yield database
    database.close()


def an_answer(who: str) -> Answer:
    event = f"UID:1\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:{who}\r\nDTSTART:20260302T090000Z\r\nDURATION:P1D"
    repeated = f"{event}\r\nRRULE:FREQ=WEEKLY"
    body = (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\n{repeated}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    return Answer(200, body, {"content-type": "text/calendar"})


class Bench:
    """A reader and a roster on one database, by a clock that stands still."""

    def __init__(self, database: Database, address: str) -> None:
        calendar = {"urlEnv": "CALENDAR", "refreshSeconds": 900}
        rotations = [
            {"id": "primary", "members": ["bob"], "start": "2026-01-05", "calendar": calendar},
            {"id": "plain", "members": ["bob"], "start": "2026-01-05"},
        ]
        self.settings = ResponseSettings.model_validate({"contacts": PEOPLE, "rotations": rotations})
        self.clock = FakeClock(MONDAY)
        self.calendars = OnCallCalendars(database)
        secrets = {"CALENDAR": address}
        self.reader = OnCallCalendarReader(self.calendars, lambda: self.settings, secrets, self.clock, str, Path())
        self.roster = OnCallRosterReader(database, self.clock, lambda: self.settings)

    def who(self, moment: datetime) -> list[str]:
        self.roster.refresh(at_once=True)
        return [shift.contact for shift in duties(self.settings.with_roster(self.roster.current()), moment)]


async def test_a_calendar_says_who_is_on_call_and_the_members_where_it_says_nothing(
    database: Database, server: HttpReceiver
) -> None:
    server.answer = an_answer("[L1] ada")
    bench = Bench(database, f"{server.url}/private-abc/basic.ics")
    await bench.reader.read_due()
    await bench.reader.read_due()
    assert [each.path for each in server.received] == ["/private-abc/basic.ics"], "it is not due again yet"
    assert bench.who(MONDAY) == ["ada", "bob"]
    assert bench.who(MONDAY + timedelta(days=2)) == ["bob", "bob"]
    assert bench.who(MONDAY + timedelta(days=28)) == ["ada", "bob"]
    server.answer = an_answer("cyd")
    await bench.clock.advance(901)
    await bench.reader.read_due()
    assert bench.who(MONDAY) == ["cyd", "bob"]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(503, "down"), "answered 503"),
        (Answer(200, "<html>please sign in</html>"), "cannot be read as a calendar"),
        (Answer(200, "x" * 1_000_100), "larger than"),
        (Answer(302, "", {"location": "/again"}), "was not reached (TooManyRedirects)"),
        (an_answer("eve"), "nobody among the contacts is meant by: eve"),
    ],
)
async def test_what_was_read_last_stays_in_force_while_the_address_is_away(
    database: Database, server: HttpReceiver, answer: Answer, problem: str
) -> None:
    server.answer = an_answer("ada")
    bench = Bench(database, f"{server.url}/private-abc.ics")
    await bench.reader.read_due()
    server.answer = answer
    for _ in range(12):
        await bench.clock.advance(301)
        await bench.reader.read_due()
    (state,) = states(bench.settings, bench.calendars, bench.clock.now())
    assert problem in state.problem
    assert "private-abc" not in state.problem
    kept = "nobody" not in problem
    assert bench.who(MONDAY) == ["ada" if kept else "bob", "bob"]
    assert state.stale is kept
    server.answer = an_answer("ada")
    await bench.clock.advance(901)
    await bench.reader.read_due()
    (state,) = states(bench.settings, bench.calendars, bench.clock.now())
    assert (state.problem, state.stale, state.read_at) == ("", False, bench.clock.now())


async def test_a_calendar_that_is_never_read_is_a_finding_of_doctor(tmp_path: Path) -> None:
    console = Console(tmp_path)
    rotation = {"id": "primary", "calendar": {"url": "http://127.0.0.1:9/oncall.ics"}}
    console.configure(contacts=PEOPLE, rotations=[rotation])
    shown = console.json("oncall", "show")
    assert [one["problem"] for one in shown["calendars"]] == ["it was not read yet"]
    found = {one.subject: one for one in await examine(console.config, {}, FakeClock(MONDAY))}
    assert "it was not read yet; never read" in found["calendar of primary"].found
