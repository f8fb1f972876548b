"""Figures from the sums of days and months are those of the incidents themselves, whatever was done to these."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.config.response import Scenario, Severity
from orchestration.incidents.model import RefusedError
from orchestration.incidents.statistics import Group, Statistics, StatisticsReport
from orchestration.storage import incident_rollup
from orchestration.storage.database import Database
from orchestration.storage.distributions import RELATIVE_ERROR
from orchestration.storage.incident_figures import IncidentFigures
from orchestration.storage.incident_statistics import GROUPS, Selection
from orchestration.storage.tables import incident_clocks, incident_tallies, incident_tally_marks, incidents
from tests.integration.incidents.conftest import Room
from tests.support.incidents import ADA, ALL_AGENTS, HALF, MACHINE, NOON, ONE_AGENT, a_report, after

FACTS = (ONE_AGENT, HALF, ALL_AGENTS)
SCENARIOS = (Scenario.AGENT_FAILURE, Scenario.WORKFLOW_STUCK)
TABLES = (
    *("incidents", "incident_documents", "incident_clocks", "incident_timers", "incident_entries", "outbox"),
    *("incident_tallies", "incident_tally_marks"),
)


def exact(database: Database) -> Statistics:
    return Statistics(IncidentFigures(database, exact_up_to=10**9))


def from_sums(database: Database) -> Statistics:
    return Statistics(IncidentFigures(database, exact_up_to=0))


def assert_same(found: StatisticsReport, true: StatisticsReport) -> None:
    assert_same_group(found.total, true.total)
    assert [group.name for group in found.groups] == [group.name for group in true.groups]
    for one, other in zip(found.groups, true.groups, strict=True):
        assert_same_group(one, other)


def assert_same_group(found: Group, true: Group) -> None:
    """Counts are equal, means but for rounding, ranks within the stated error."""
    assert (found.count, found.compliance, found.recurrence) == (true.count, true.compliance, true.recurrence)
    for one, other in zip(found.figures, true.figures, strict=True):
        assert (one.n, one.invalid, one.coverage) == (other.n, other.invalid, other.coverage)
        if other.n:
            assert one.mean == pytest.approx(other.mean, rel=1e-9)
            assert one.median == pytest.approx(other.median, rel=RELATIVE_ERROR + 1e-9, abs=0.005)
            assert one.p90 == pytest.approx(other.p90, rel=RELATIVE_ERROR + 1e-9, abs=0.005)


def compare(database: Database, now: datetime, days: float | None = None) -> None:
    """In all ways of splitting, over that time, for all kinds and for some."""
    since = None if days is None else now - timedelta(days=days)
    for selection in (
        Selection(since, severities=(Severity.P0, Severity.P2)),
        Selection(since, now - timedelta(days=1), scenario=Scenario.WORKFLOW_STUCK),
        Selection(since),
    ):
        pairs = zip(
            from_sums(database).reports(selection, GROUPS, now),
            exact(database).reports(selection, GROUPS, now),
            strict=True,
        )
        for found, true in pairs:
            assert_same(found, true)


def compare_all(database: Database, now: datetime) -> None:
    for days in (0.1, 3, 35, 100, None):
        compare(database, now, days)


NUMBER = st.integers(0, 5)
STEP = st.tuples(
    st.sampled_from(
        [
            *("report", "report", "report", "drill", "acknowledge", "automation", "resolve", "resolve", "reopen"),
            *("cancel", "merge", "suppress", "worse", "better", "impact", "tick", "read"),
        ]
    ),
    NUMBER,
    NUMBER,
    st.sampled_from([1.5, 40.0, 600.0, 2_000.0, 4_000.0, 12_000.0, 60_000.0]),  # minutes that go by before
)


Steps = list[tuple[str, int, int, float]]


class Story:
    """What is done to incidents, one thing after the other; what cannot be done is left."""

    def __init__(self, room: Room) -> None:
        self.room, self.now, self.known = room, NOON, list[str]()

    def step(self, what: str, number: int, other: int, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)
        self.room.go_to(self.now)
        if what in ("report", "drill"):
            self.report(number, other, drill=what == "drill")
        elif what == "tick":
            while self.room.tick():
                pass
        elif what == "read":
            compare(self.room.database, self.now, days=40)
        elif self.known:
            with contextlib.suppress(RefusedError):
                self.change(what, self.known[number % len(self.known)], self.known[other % len(self.known)])

    def report(self, number: int, other: int, *, drill: bool) -> None:
        start = None if other == 0 else self.now - timedelta(seconds=37 * other - 60)
        found = self.room.desk.report(
            a_report(
                FACTS[other % len(FACTS)],
                self.now,
                key=f"key-{number}-{drill}",
                scenario=SCENARIOS[number % len(SCENARIOS)],
                started_at=start,
                drill=drill,
            )
        )
        if found.id not in self.known:
            self.known.append(found.id)

    def change(self, what: str, one: str, other: str) -> None:
        desk = self.room.desk
        doing: dict[str, Callable[[], object]] = {
            "acknowledge": lambda: desk.acknowledge(one, ADA),
            "automation": lambda: desk.begin_mitigation(one, MACHINE, "restart"),
            "resolve": lambda: desk.resolve(one, ADA, "mended"),
            "reopen": lambda: desk.reopen(one, ADA, "it is back"),
            "cancel": lambda: desk.cancel(one, ADA, "false alarm"),
            "merge": lambda: desk.merge(one, ADA, other),
            "suppress": lambda: desk.suppress(one, ADA, self.now + timedelta(hours=2), "maintenance"),
            "worse": lambda: desk.raise_severity(one, ADA, Severity.P0, "worse"),
            "better": lambda: desk.lower_severity(one, ADA, Severity.P3, "better"),
            "impact": lambda: desk.set_impact(one, ADA, "slow", self.now - timedelta(days=2)),
        }
        doing[what]()


@pytest.fixture
def tell(room: Room) -> Callable[[Steps], None]:
    """Let a story happen to an empty database, and compare."""

    def happen(steps: Steps) -> None:
        with room.database.write() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        story = Story(room)
        for number, step in enumerate(steps):
            story.step(*step)
            if number % 2:
                from_sums(room.database).sum_up(story.now)
        compare_all(room.database, story.now)
        compare(room.database, story.now + timedelta(days=45))

    return happen


# It takes some seconds: a story is told by the desk itself, and only long ones meet the corners.
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=4, max_size=16))
def test_whatever_is_done_to_incidents_the_sums_give_the_same_figures(
    tell: Callable[[Steps], None], steps: Steps
) -> None:
    tell(steps)


LATE_CHANGES: dict[str, Callable[[Room, str, str], object]] = {
    "acknowledged": lambda room, one, _: room.desk.acknowledge(one, ADA),
    "taken on by automation": lambda room, one, _: room.desk.begin_mitigation(one, MACHINE, "restart"),
    "resolved": lambda room, one, _: room.desk.resolve(one, ADA, "mended"),
    "cancelled": lambda room, one, _: room.desk.cancel(one, ADA, "it was none"),
    "merged": lambda room, one, other: room.desk.merge(one, ADA, other),
    "suppressed": lambda room, one, _: room.desk.suppress(one, ADA, after(days=40), "maintenance"),
    "made worse": lambda room, one, _: room.desk.raise_severity(one, ADA, Severity.P0, "worse"),
    "made better": lambda room, one, _: room.desk.lower_severity(one, ADA, Severity.P3, "better"),
    "found to have begun before": lambda room, one, _: room.desk.set_impact(
        one, ADA, "slow", NOON - timedelta(hours=1)
    ),
}


@pytest.mark.parametrize("what", LATE_CHANGES)
@pytest.mark.parametrize("reopened", [0, 2])
def test_an_incident_of_a_day_that_was_summed_up_may_still_be(room: Room, what: str, reopened: int) -> None:
    one, other = (room.desk.report(a_report(HALF, key=key)).id for key in ("one", "other"))
    for time in range(reopened):
        room.go_to(after(days=2 + 8 * time))
        room.desk.resolve(one, ADA, "mended")
        room.go_to(after(days=8 + 8 * time))
        room.desk.reopen(one, ADA, "it is back")
    room.go_to(after(days=36))
    from_sums(room.database).sum_up(after(days=36))
    LATE_CHANGES[what](room, one, other)
    compare_all(room.database, after(days=38))
    if what == "suppressed":
        room.tick(after(days=41))
        compare_all(room.database, after(days=42))


def test_what_returns_counts_for_the_day_of_what_returned(room: Room) -> None:
    room.desk.resolve(room.desk.report(a_report(HALF)).id, ADA, "mended")
    from_sums(room.database).sum_up(after(days=9))
    room.go_to(after(days=9))
    room.desk.report(a_report(HALF, after(days=9)))
    assert from_sums(room.database).report(Selection(), "severity", after(days=10)).total.recurrence.recurred == 1
    compare_all(room.database, after(days=10))


@pytest.fixture
def anywhere(database_url: str, room: Room) -> Iterator[Room]:
    """A room over a database of either kind."""
    database = Database(database_url)
    database.migrate()
    yield Room(database, room.folder)
    database.close()


def some_days(room: Room, days: int = 70) -> datetime:
    """An incident a day, each resolved in half an hour; returns the day after."""
    for number in range(days):
        room.go_to(after(days=number))
        incident = room.desk.report(a_report(FACTS[number % 3], after(days=number), key=f"key-{number}"))
        room.go_to(after(days=number, minutes=30 + number))
        room.desk.resolve(incident.id, ADA, "mended")
    return after(days=days)


def marks(room: Room) -> list[tuple[str, str]]:
    table = incident_tally_marks.c
    with room.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table.span, table.begin))]


def test_sums_are_the_same_on_both_kinds_of_database(anywhere: Room) -> None:
    now = some_days(anywhere)
    compare(anywhere.database, now)
    late = anywhere.desk.records.table.list(since=None, limit=1000)[-1].id
    anywhere.go_to(now)
    anywhere.desk.reopen(late, ADA, "it is back")
    anywhere.desk.cancel(late, ADA, "it was none")
    compare(anywhere.database, now)
    from_sums(anywhere.database).sum_up(now)
    assert marks(anywhere) == []


def test_few_incidents_are_read_one_by_one_and_many_from_sums_which_is_said(room: Room) -> None:
    now = some_days(room, 20)
    figures = Statistics(IncidentFigures(room.database, exact_up_to=19))
    few, many = figures.report(Selection(after(days=2)), "severity", now), figures.report(Selection(), "severity", now)
    assert (few.relative_error, few.note) == (0.0, "")
    assert many.relative_error == RELATIVE_ERROR
    assert many.note == "medians and 90th percentiles are within 1% of the true ones; all else is exact"
    assert (few.total.count, many.total.count) == (18, 20)


def test_a_change_that_counts_for_nothing_marks_no_day(room: Room) -> None:
    now = some_days(room, 3)
    from_sums(room.database).sum_up(now)
    room.go_to(now)
    incident = room.desk.records.find("latest")
    room.desk.note(incident.id, ADA, "a note")
    room.desk.set_impact(incident.id, ADA, "slow")
    assert marks(room) == []
    room.desk.reopen(incident.id, ADA, "it is back")
    assert {begin for _, begin in marks(room)} == {"2026-03-05", "2026-03-06"}  # its own, and that of the new record


def test_only_the_days_that_are_asked_for_are_summed_up(room: Room) -> None:
    now = some_days(room, 10)
    from_sums(room.database).report(Selection(after(days=6)), "severity", now)
    days = sorted(begin for span, begin in marks(room) if span == "day")
    assert days[0] == "2026-03-03"
    assert days[-1] == "2026-03-09"  # the first whole day after noon is the 10th


def test_what_is_summed_up_is_not_read_again(room: Room) -> None:
    now = some_days(room, 10)
    before = from_sums(room.database).report(Selection(), "severity", now)
    with room.database.write() as connection:
        connection.execute(sa.update(incidents).values(seconds_to_resolve=1.0))
    assert from_sums(room.database).report(Selection(), "severity", now) == before


def test_rows_that_are_taken_away_are_gone_from_the_figures_once_their_time_is_marked(room: Room) -> None:
    now = some_days(room, 5)
    compare(room.database, now)
    with room.database.write() as connection:
        old = sa.select(incidents.c.id).where(incidents.c.detected_at < after(days=2)).scalar_subquery()
        connection.execute(sa.delete(incident_clocks).where(incident_clocks.c.incident_id.in_(old)))
        connection.execute(sa.delete(incidents).where(incidents.c.detected_at < after(days=2)))
        incident_rollup.mark(connection, [NOON, after(days=1)])
    assert from_sums(room.database).report(Selection(), "severity", now).total.count == 3
    compare(room.database, now)


def test_a_change_while_a_day_is_summed_up_is_not_lost(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    now = some_days(room, 3)
    room.go_to(now)
    reading = incident_rollup.incident_statistics.read
    victim = room.desk.records.table.list(limit=9)[-1].id

    def meanwhile(*arguments: object, **values: object) -> object:
        found = reading(*arguments, **values)  # type: ignore[arg-type]
        if room.desk.records.get(victim).recurred_as is None and room.desk.records.get(victim).status == "resolved":
            room.desk.reopen(victim, ADA, "just now")
            room.desk.cancel(victim, ADA, "it was none")
        return found

    monkeypatch.setattr(incident_rollup.incident_statistics, "read", meanwhile)
    from_sums(room.database).sum_up(now)
    monkeypatch.undo()
    assert from_sums(room.database).report(Selection(), "severity", now).total.count == 2
    compare(room.database, now)


def test_processes_that_sum_up_and_change_at_once_agree_in_the_end(anywhere: Room) -> None:
    now = some_days(anywhere, 12)
    anywhere.go_to(now)
    names = [row.id for row in anywhere.desk.records.table.list(limit=100)]
    others = [Database(anywhere.database.engine.url.render_as_string(hide_password=False)) for _ in range(2)]
    failures: list[BaseException] = []

    def work(doing: Callable[[], object]) -> None:
        try:
            doing()
        except BaseException as error:  # noqa: BLE001 (a thread's failure is the test's)
            failures.append(error)

    def change() -> None:
        for name in names:
            anywhere.desk.reopen(name, ADA, "it is back")
            anywhere.desk.resolve(name, ADA, "mended again")

    def read(database: Database) -> None:
        for _ in range(8):
            from_sums(database).report(Selection(), "severity", now)
            from_sums(database).sum_up(now)

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
    from alembic import command
    from alembic.config import Config

    now = some_days(anywhere, 3)
    midnight = datetime(2026, 3, 5, 0, 0, tzinfo=UTC)
    with anywhere.database.write() as connection:  # of which the day depends on the zone that the server shows it in
        connection.execute(
            sa.update(incidents).where(incidents.c.id == _first(connection)).values(detected_at=midnight)
        )
    settings_ = Config()
    settings_.set_main_option("script_location", "orchestration/storage/migrations")
    with anywhere.database.write() as connection:
        settings_.attributes["connection"] = connection
        command.downgrade(settings_, "0009")
    anywhere.database.migrate()
    assert sorted(set(marks(anywhere))) == [("day", "2026-03-03"), ("day", "2026-03-04"), ("day", "2026-03-05")]
    compare(anywhere.database, now)


def _first(connection: sa.Connection) -> str:
    return str(connection.execute(sa.select(sa.func.min(incidents.c.id))).scalar_one())


def test_sums_need_no_more_rows_for_more_incidents(room: Room) -> None:
    now = some_days(room, 35)
    from_sums(room.database).sum_up(now)
    with room.database.read() as connection:
        rows = connection.execute(sa.select(incident_tallies.c.span, sa.func.count()).group_by(incident_tallies.c.span))
        counts = dict([(span, count) for span, count in rows])
    assert counts == {"day": 35, "month": 6}  # three severities in each of two months


def test_a_selection_has_what_its_kinds_say() -> None:
    from orchestration.storage.incident_tallies import Cell

    cell = Cell("P1", "agent-failure", "2026-03")
    assert Selection().has(cell)
    assert Selection(severities=(Severity.P1,), scenario=Scenario.AGENT_FAILURE).has(cell)
    assert not replace(Selection(), severities=(Severity.P0,)).has(cell)
    assert not replace(Selection(), scenario=Scenario.WORKFLOW_STUCK).has(cell)
