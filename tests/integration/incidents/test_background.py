"""The loop that keeps the timers going."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import sqlalchemy as sa

from orchestration.clock import SystemClock
from orchestration.incidents.background import refresh_sums, run
from orchestration.incidents.journal import ReportJournal
from orchestration.incidents.statistics import Statistics
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.storage.tables import incident_tallies, incident_tally_marks
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ALL_AGENTS, HALF, a_report, after
from tests.support.patience import until_async


@asynccontextmanager
async def kept(room: Room, journal: ReportJournal) -> AsyncIterator[None]:
    """The loop at work, as fast as it can; what time it is for the desk is still the test's to say."""

    class Quick(SystemClock):
        now = staticmethod(room.clock.now)  # type: ignore[assignment]

    async with anyio.create_task_group() as group:
        group.start_soon(run, room.service, journal, room.bus, Quick(), 0.01)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    await until_async(condition, 20)


def a_journal(room: Room) -> ReportJournal:
    return ReportJournal(room.folder / "journal", room.service, room.bus, room.clock, lambda _: None)


async def test_what_fell_due_before_the_start_is_caught_up_with(room: Room) -> None:
    incident = room.service.open_or_join(a_report(HALF))
    room.go_to(after(minutes=10))
    async with kept(room, a_journal(room)):
        await until(lambda: "incident.paged" in room.said())
    assert room.kinds(incident) == ["detected", "paged"]


async def test_a_database_that_is_away_is_said_once_and_the_loop_goes_on_when_it_is_back(room: Room) -> None:
    journal = a_journal(room)
    _rename(room, "incidents", "away")
    journal.report(a_report(ALL_AGENTS))
    async with kept(room, journal):
        await until(lambda: "incidents.tick_failed" in room.said())
        await anyio.sleep(0.1)
        _rename(room, "away", "incidents")
        await until(lambda: "incident.detected" in room.said())
    assert room.said().count("incidents.tick_failed") == 1
    assert not journal.waiting


def _rename(room: Room, one: str, other: str) -> None:
    with room.database.write() as connection:
        connection.execute(sa.text(f"ALTER TABLE {one} RENAME TO {other}"))


async def test_sums_are_kept_fresh_also_after_they_could_not_be(room: Room) -> None:
    def count(table: sa.Table) -> int:
        with room.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())

    room.service.open_or_join(a_report(HALF))
    assert count(incident_tally_marks) == 1
    _rename(room, "incidents", "away")
    async with anyio.create_task_group() as group:
        clock = SystemClock()
        clock.now = room.clock.now  # type: ignore[method-assign]
        group.start_soon(refresh_sums, Statistics(IncidentFigures(room.database)), room.bus, clock, 0.01)
        await until(lambda: "incidents.sum_up_failed" in room.said())
        _rename(room, "away", "incidents")
        await until(lambda: count(incident_tally_marks) == 0)
        group.cancel_scope.cancel()
    assert count(incident_tallies) == 2  # of the day and of the month
    assert room.said().count("incidents.sum_up_failed") == 1
