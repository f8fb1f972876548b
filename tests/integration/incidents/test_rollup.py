"""Figures from the sums of days and months are those of the incidents themselves, whatever was done to these."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.cancellation import CancelIncident
from orchestration.incidents.commands.impact import SetImpact
from orchestration.incidents.commands.merge import Merge
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.note import AddNote
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.suppression import Suppress
from orchestration.incidents.statistics import Statistics
from orchestration.storage import migrations
from orchestration.storage.database import Database
from orchestration.storage.distributions import RELATIVE_ERROR
from orchestration.storage.incidents import rollup
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.figures import IncidentFigures
from orchestration.storage.tables import incident_clocks, incident_tallies, incident_tally_marks, incidents
from tests.integration.incidents.conftest import Room
from tests.support.database import migrated
from tests.support.figures import compare, compare_all, from_sums
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, ONE_AGENT, a_report, after

FACTS = (ONE_AGENT, HALF, ALL_AGENTS)
LATE_CHANGES: dict[str, Callable[[Room, str, str], object]] = {
    "acknowledged": lambda room, one, _: room.service.execute(one, ADA, Acknowledge()),
    "taken on by automation": lambda room, one, _: room.service.execute(one, MACHINE, BeginMitigation("restart")),
    "resolved": lambda room, one, _: room.resolve(one),
    "cancelled": lambda room, one, _: room.service.execute(one, ADA, CancelIncident("it was none")),
    "merged": lambda room, one, other: room.service.execute(one, ADA, Merge(other)),
    "suppressed": lambda room, one, _: room.service.execute(one, ADA, Suppress(after(days=40), "maintenance")),
    "made worse": lambda room, one, _: room.service.execute(one, ADA, ChangeSeverity(Severity.P0, "worse")),
    "made better": lambda room, one, _: room.service.execute(one, ADA, ChangeSeverity(Severity.P3, "better")),
    "found to have begun before": lambda room, one, _: room.service.execute(
        one, ADA, SetImpact("slow", NOON - timedelta(hours=1))
    ),
}


@pytest.mark.parametrize("what", LATE_CHANGES)
@pytest.mark.parametrize("reopened", [0, 2])
def test_an_incident_of_a_day_that_was_summed_up_may_still_be(room: Room, what: str, reopened: int) -> None:
    one, other = (room.service.open_or_join(a_report(HALF, key=key)).id for key in ("one", "other"))
    for time in range(reopened):
        room.go_to(after(days=2 + 8 * time))
        room.resolve(one)
        room.go_to(after(days=8 + 8 * time))
        room.service.execute(one, ADA, Reopen("it is back"))
    room.go_to(after(days=36))
    from_sums(room.database).build_rollups(after(days=36))
    LATE_CHANGES[what](room, one, other)
    compare_all(room.database, after(days=38))
    if what == "suppressed":
        room.tick(after(days=41))
        compare_all(room.database, after(days=42))


def test_what_returns_counts_for_the_day_of_what_returned(room: Room) -> None:
    room.resolve(room.service.open_or_join(a_report(HALF)).id)
    from_sums(room.database).build_rollups(after(days=9))
    room.go_to(after(days=9))
    room.service.open_or_join(a_report(HALF, after(days=9)))
    assert (
        from_sums(room.database).report(IncidentSelection(), "severity", after(days=10)).total.recurrence.recurred == 1
    )
    compare_all(room.database, after(days=10))


@pytest.fixture
def anywhere(database_url: str, room: Room) -> Iterator[Room]:
    """A room over a database of either kind."""
    database = migrated(database_url)
    yield Room(database, room.folder)
    database.close()


def some_days(room: Room, days: int = 70) -> datetime:
    """An incident a day, each resolved in half an hour; returns the day after."""
    for number in range(days):
        room.go_to(after(days=number))
        incident = room.service.open_or_join(a_report(FACTS[number % 3], after(days=number), key=f"key-{number}"))
        room.go_to(after(days=number, minutes=30 + number))
        room.resolve(incident.id)
    return after(days=days)


def marks(room: Room) -> list[tuple[str, str]]:
    table = incident_tally_marks.c
    with room.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table.span, table.begin))]


def test_sums_are_the_same_on_both_kinds_of_database(anywhere: Room) -> None:
    now = some_days(anywhere)
    compare(anywhere.database, now)
    late = anywhere.service.records.table.list(since=None, limit=1000)[-1].id
    anywhere.go_to(now)
    anywhere.service.execute(late, ADA, Reopen("it is back"))
    anywhere.service.execute(late, ADA, CancelIncident("it was none"))
    compare(anywhere.database, now)
    from_sums(anywhere.database).build_rollups(now)
    assert marks(anywhere) == []


def test_few_incidents_are_read_one_by_one_and_many_from_sums_which_is_said(room: Room) -> None:
    now = some_days(room, 20)
    figures = Statistics(IncidentFigures(room.database, exact_up_to=19))
    few, many = (
        figures.report(IncidentSelection(after(days=2)), "severity", now),
        figures.report(IncidentSelection(), "severity", now),
    )
    assert (few.relative_error, few.note) == (0.0, "")
    assert many.relative_error == RELATIVE_ERROR
    assert many.note == "medians and 90th percentiles are within 1% of the true ones; all else is exact"
    assert (few.total.count, many.total.count) == (18, 20)


def test_a_change_that_counts_for_nothing_marks_no_day(room: Room) -> None:
    now = some_days(room, 3)
    from_sums(room.database).build_rollups(now)
    room.go_to(now)
    incident = room.service.records.find("latest")
    room.service.execute(incident.id, ADA, AddNote("a note"))
    room.service.execute(incident.id, ADA, SetImpact("slow"))
    assert marks(room) == []
    room.service.execute(incident.id, ADA, Reopen("it is back"))
    assert {begin for _, begin in marks(room)} == {"2026-03-05", "2026-03-06"}  # its own, and that of the new record


def test_only_the_days_that_are_asked_for_are_summed_up(room: Room) -> None:
    now = some_days(room, 10)
    from_sums(room.database).report(IncidentSelection(after(days=6)), "severity", now)
    days = sorted(begin for span, begin in marks(room) if span == "day")
    assert days[0] == "2026-03-03"
    assert days[-1] == "2026-03-09"  # the first whole day after noon is the 10th


def test_what_is_summed_up_is_not_read_again(room: Room) -> None:
    now = some_days(room, 10)
    before = from_sums(room.database).report(IncidentSelection(), "severity", now)
    with room.database.write() as connection:
        connection.execute(sa.update(incidents).values(seconds_to_resolve=1.0))
    assert from_sums(room.database).report(IncidentSelection(), "severity", now) == before


def test_rows_that_are_taken_away_are_gone_from_the_figures_once_their_time_is_marked(room: Room) -> None:
    now = some_days(room, 5)
    compare(room.database, now)
    with room.database.write() as connection:
        old = sa.select(incidents.c.id).where(incidents.c.detected_at < after(days=2)).scalar_subquery()
        connection.execute(sa.delete(incident_clocks).where(incident_clocks.c.incident_id.in_(old)))
        connection.execute(sa.delete(incidents).where(incidents.c.detected_at < after(days=2)))
        rollup.mark(connection, [NOON, after(days=1)])
    assert from_sums(room.database).report(IncidentSelection(), "severity", now).total.count == 3
    compare(room.database, now)


def test_a_change_while_a_day_is_summed_up_is_not_lost(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    now = some_days(room, 3)
    room.go_to(now)
    reading = rollup.aggregates.read
    victim = room.service.records.table.list(limit=9)[-1].id

    def meanwhile(*arguments: object, **values: object) -> object:
        found = reading(*arguments, **values)  # type: ignore[arg-type]
        if (
            room.service.records.get(victim).recurred_as is None
            and room.service.records.get(victim).status == "resolved"
        ):
            room.service.execute(victim, ADA, Reopen("just now"))
            room.service.execute(victim, ADA, CancelIncident("it was none"))
        return found

    monkeypatch.setattr(rollup.aggregates, "read", meanwhile)
    from_sums(room.database).build_rollups(now)
    monkeypatch.undo()
    assert from_sums(room.database).report(IncidentSelection(), "severity", now).total.count == 2
    compare(room.database, now)


def test_a_day_that_another_has_summed_up_in_the_meantime_is_left_as_it_is(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = some_days(room, 3)
    from_sums(room.database).build_rollups(now)
    marked = iter([["2026-03-03"]])  # as it was a moment ago
    monkeypatch.setattr(rollup, "_marked", lambda *_: next(marked, []))
    monkeypatch.setattr(rollup.aggregates, "read", lambda *_, **__: {})
    from_sums(room.database).build_rollups(now)
    monkeypatch.undo()
    assert from_sums(room.database).report(IncidentSelection(), "severity", now).total.count == 3
    compare(room.database, now)


def test_processes_that_sum_up_and_change_at_once_agree_in_the_end(anywhere: Room) -> None:
    now = some_days(anywhere, 12)
    anywhere.go_to(now)
    names = [row.id for row in anywhere.service.records.table.list(limit=100)]
    others = [Database(anywhere.database.engine.url.render_as_string(hide_password=False)) for _ in range(2)]
    failures: list[BaseException] = []

    def work(doing: Callable[[], object]) -> None:
        try:
            doing()
        except BaseException as error:  # noqa: BLE001 (a thread's failure is the test's)
            failures.append(error)

    def change() -> None:
        for name in names:
            anywhere.service.execute(name, ADA, Reopen("it is back"))
            anywhere.service.execute(name, ADA, Resolve("mended again", anyway=True))

    def read(database: Database) -> None:
        for _ in range(8):
            from_sums(database).report(IncidentSelection(), "severity", now)
            from_sums(database).build_rollups(now)

    doings = [change, *(lambda each=each: read(each) for each in others)]
    threads = [threading.Thread(target=work, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    assert failures == []
    compare(anywhere.database, now + timedelta(days=2))


def test_incidents_from_before_the_sums_are_summed_up_when_they_are_asked_for(anywhere: Room) -> None:
    now = some_days(anywhere, 3)
    midnight = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
    with anywhere.database.write() as connection:  # of which the day depends on the zone that the server shows it in
        connection.execute(
            sa.update(incidents).where(incidents.c.id == _first(connection)).values(detected_at=midnight)
        )
    settings = Config()
    settings.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with anywhere.database.write() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "0009")
    anywhere.database.migrate()
    assert sorted(set(marks(anywhere))) == [("day", "2026-03-03"), ("day", "2026-03-04"), ("day", "2026-03-05")]
    compare(anywhere.database, now)


def _first(connection: sa.Connection) -> str:
    return str(connection.execute(sa.select(sa.func.min(incidents.c.id))).scalar_one())


def test_sums_need_no_more_rows_for_more_incidents(room: Room) -> None:
    now = some_days(room, 35)
    from_sums(room.database).build_rollups(now)
    with room.database.read() as connection:
        span = incident_tallies.c.span
        rows = connection.execute(sa.select(span, sa.func.count().label("number")).group_by(span))
        counts = {row.span: row.number for row in rows}
    assert counts == {"day": 35, "month": 6}  # three severities in each of two months
