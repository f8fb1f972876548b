from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError, NotFoundError
from orchestration.events import Event, EventBus
from orchestration.storage.approvals import Approval, ApprovalTable
from orchestration.storage.database import HEAD, Database, StorageError
from orchestration.storage.leases import Leases
from orchestration.storage.runs import Run, Runs
from orchestration.storage.spend import Spend
from orchestration.storage.tables import metadata
from orchestration.storage.timeline import Timeline, TimelineWriter
from tests.support.database import migrated
from tests.support.patience import patient, until

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


def a_run(name: str, *, minutes: int = 0, status: RunStatus = RunStatus.RUNNING) -> Run:
    return Run(name, "mend it", "/work", NOON + timedelta(minutes=minutes), status)


def test_the_migrations_make_exactly_the_tables_that_are_declared(database: Database) -> None:
    inspector = sa.inspect(database.engine)
    assert set(inspector.get_table_names()) == {*metadata.tables, "alembic_version"}
    for table in metadata.tables.values():
        declared = {column.name for column in table.columns}
        assert {column["name"] for column in inspector.get_columns(table.name)} == declared


def test_the_newest_migration_is_the_one_that_the_program_asks_for() -> None:
    versions = Path(__file__).parents[3] / "orchestration/storage/migrations/versions"
    assert max(path.name for path in versions.glob("[0-9]*.py")).startswith(HEAD)


def test_a_database_of_a_newer_release_is_refused_with_advice(database: Database) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer release"):
        database.migrate()


def test_a_run_comes_back_as_it_was_recorded(database: Database) -> None:
    run = Run("run-1", "mend it", "/work", NOON.astimezone(timezone(timedelta(hours=5))), options={"checks": [["ls"]]})
    Runs(database).add(run)
    assert Runs(database).get("run-1") == run


def test_a_run_is_found_by_either_end_of_its_name_and_by_latest(database: Database) -> None:
    runs = Runs(database)
    for minutes, name in enumerate(("run-aa1", "run-ab2", "run-b2")):
        runs.add(a_run(name, minutes=minutes))
    assert runs.find("run-b").id == "run-b2"
    assert runs.find("a1").id == "run-aa1"
    assert runs.find("latest").id == "run-b2"
    with pytest.raises(NotFoundError, match="run-ab2, run-b2"):
        runs.find("2")
    with pytest.raises(NotFoundError, match="runs list"):
        runs.find("run-zz")


def test_a_percent_sign_in_a_name_is_no_wildcard(database: Database) -> None:
    Runs(database).add(a_run("run-1"))
    with pytest.raises(NotFoundError):
        Runs(database).find("run%")


def test_a_run_that_has_ended_does_not_move_on(database: Database) -> None:
    runs = Runs(database)
    runs.add(a_run("run-1"))
    assert runs.set_status("run-1", RunStatus.CANCELLED, "enough")
    assert not runs.set_status("run-1", RunStatus.SUCCEEDED)
    assert (runs.get("run-1").status, runs.get("run-1").reason) == (RunStatus.CANCELLED, "enough")
    runs.reopen("run-1")
    assert runs.set_status("run-1", RunStatus.SUCCEEDED)


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        Runs(database).add(Run("run-1", "g", "/w", datetime(2026, 1, 1)))  # noqa: DTZ001 (that is the point)


def test_a_lease_is_held_by_one_until_it_expires(database: Database) -> None:
    leases = Leases(database)
    assert leases.acquire("leader", "a", 60)
    assert leases.acquire("leader", "a", 60)
    assert not leases.acquire("leader", "b", 60)
    assert leases.acquire("leader", "a", -1)
    assert leases.acquire("leader", "b", 60)
    leases.release("leader", "a")
    assert [(lease.holder, lease.live) for lease in leases.list("lead")] == [("b", True)]
    leases.release("leader", "b")
    assert leases.list("lead") == ()


@pytest.mark.parametrize(
    ("back", "held"), [(0, True), (50, True), (61, False), (3600, False), (-30, True), (-61, False)]
)
def test_a_lease_that_a_clock_has_carried_away_is_void(database: Database, back: float, held: bool) -> None:
    leases = Leases(database)
    assert leases.acquire("leader", "dead", 60)
    # What the database sees after its clock was set back by so many seconds.
    with database.write() as connection:
        connection.execute(sa.text("UPDATE leases SET expires_at = expires_at + :back"), {"back": back})
    assert [lease.live for lease in leases.list("leader")] == [held]
    assert leases.acquire("leader", "another", 60) is not held


def test_of_many_that_want_a_lease_at_once_one_gets_it(database: Database) -> None:
    leases = Leases(database)
    for expired in (False, True):
        if expired:
            leases.acquire("leader", "nobody", -1)
        with ThreadPoolExecutor(8) as pool:
            got = list(pool.map(lambda number: leases.acquire("leader", f"p{number}", 60), range(8)))
        assert got.count(True) == 1
        leases.release("leader", f"p{got.index(True)}")


def test_processes_that_start_at_once_make_the_tables_once(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.migrate(), databases))
    assert Runs(databases[0]).list() == ()
    for one in databases:
        one.close()


def test_a_question_is_answered_once(database: Database) -> None:
    table = ApprovalTable(database)
    question = Approval("run-1.executor", "run-1", "may it start?", NOON)
    table.add(question)
    table.add(question)
    assert table.list_open("run-1") == (question,)
    table.decide(question.id, "approved", "ada", "looks right", NOON)
    assert table.list_open() == ()
    with pytest.raises(ConflictError, match="ada has approved"):
        table.decide(question.id, "denied", "bob", "", NOON)
    assert table.get(question.id).decision == "approved"


def test_a_sign_of_life_is_no_progress(database: Database) -> None:
    timeline = Timeline(database)

    def beat(second: int, **data: Any) -> Event:
        about = {"agent_run_id": "a", "activity": "asks a model", "tokens": 0, "seconds": float(second), **data}
        return Event("agent.progress", NOON + timedelta(seconds=second), "run-1", "planner", data=about)

    timeline.save_heartbeats([beat(1), beat(3, progressed=False, tail="so far")])
    timeline.save_heartbeats([beat(5, progressed=False, ahead=2)])
    (row,) = timeline.list_heartbeats("run-1")
    at = [int((moment - NOON).total_seconds()) for moment in (row.progress_at, row.since, row.beat_at) if moment]
    assert (at, row.tail, row.ahead) == ([1, 0, 5], "", 2)


def test_events_are_written_in_order_redacted_and_only_the_last_progress_is_kept(database: Database) -> None:
    timeline = Timeline(database)
    writer = TimelineWriter(
        timeline, lambda data: {key: str(value).replace("s3cret", "***") for key, value in data.items()}
    )
    bus = EventBus(FakeClock())
    bus.subscribe(writer.write_soon)
    writer.start()
    for number in range(700):
        bus.emit("tool_call.finished", run_id="run-1", number=number, text="s3cret")
        bus.emit(
            "agent.progress", run_id="run-1", agent="executor", agent_run_id="a", activity=f"{number}", tokens=number
        )
    writer.close()
    written = timeline.list("run-1")
    assert [int(event.data["number"]) for _, event in written] == list(range(700))
    assert {event.data["text"] for _, event in written} == {"***"}
    assert [beat.activity for beat in timeline.list_heartbeats("run-1")] == ["699"]
    assert timeline.list("run-1", after=written[-2][0]) == written[-1:]


def test_events_that_keep_coming_are_written_all_the_same(database: Database) -> None:
    timeline = Timeline(database)
    writer = TimelineWriter(timeline, lambda data: data)
    bus = EventBus(FakeClock())
    bus.subscribe(writer.write_soon)
    writer.start()
    for number in range(100):  # two seconds at most, and never so long a pause as would end a batch
        bus.emit("tool_call.finished", run_id="run-1", number=number)
        if timeline.list("run-1"):
            break
        time.sleep(0.02)
    written = len(timeline.list("run-1"))
    writer.close()
    assert 0 < written <= number + 1 < 100


def test_who_waits_for_an_event_to_be_on_the_timeline_is_told_at_once_when_it_is(database: Database) -> None:
    timeline = Timeline(database)
    writer = TimelineWriter(timeline, lambda data: data)
    written, seen = threading.Event(), []
    writer.write_soon(Event("run.created", NOON, "run-1"))
    writer.call_when_written(lambda: seen.append(len(timeline.list("run-1"))))
    writer.write_soon(Event("run.started", NOON, "run-1"))
    writer.call_when_written(written.set)
    writer.start()
    assert written.wait(timeout=patient(30))
    assert (seen, len(timeline.list("run-1"))) == ([1], 2)
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE events RENAME TO events_away"))
    later = threading.Event()
    writer.write_soon(Event("run.finished", NOON, "run-1"))
    writer.call_when_written(later.set)
    assert later.wait(timeout=patient(30)), "nobody waits for a database that is away"
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE events_away RENAME TO events"))
    writer.close()
    assert [event.kind for _, event in timeline.list("run-1")] == ["run.created", "run.started", "run.finished"]


def test_what_model_calls_cost_is_kept_from_their_events_once(database: Database) -> None:
    spend = Spend(database)
    data = {"key": "r/1", "route": "one/m", "prompt_tokens": 5, "completion_tokens": 2, "usd": 0.5}
    call = Event("model_call.finished", NOON, "run-1", "executor", data=data)
    failed = Event("model_call.failed", NOON, "run-1", "executor", data={"key": "r/2", "route": None})
    spend.add_events([call, failed])
    spend.add_events(
        [call, Event("model_call.finished", NOON, "run-1", None, data={**data, "key": "r/3", "usd": None})]
    )
    assert spend.totals("run-1") == (14, 0.5)


def test_events_wait_while_the_database_cannot_be_written(database: Database) -> None:
    timeline = Timeline(database)
    writer = TimelineWriter(timeline, lambda data: data)
    bus = EventBus(FakeClock())
    bus.subscribe(writer.write_soon)
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE events RENAME TO events_away"))
    writer.start()
    bus.emit("run.started", run_id="run-1")
    until(writer._queue.empty)
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE events_away RENAME TO events"))
    bus.emit("run.finished", run_id="run-1")
    writer.close()
    assert [event.kind for _, event in timeline.list("run-1")] == ["run.started", "run.finished"]
