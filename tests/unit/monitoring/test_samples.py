from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.monitoring.health.sample_writer import SampleWriter
from orchestration.storage.database import Database
from orchestration.storage.samples import HOUR, MINUTE, RAW, Samples, StoredSample
from orchestration.storage.tables import samples
from tests.support.database import migrated

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MONTH = timedelta(days=30)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    yield database
    database.close()


def counted(database: Database) -> dict[int, int]:
    with database.read() as connection:
        query = sa.select(samples.c.step, sa.func.count()).group_by(samples.c.step)
        return {row[0]: row[1] for row in connection.execute(query)}


def cpu(value: float, at: datetime, host: str = "a") -> StoredSample:
    return StoredSample("cpu_percent", at, value, {"host": host})


def test_samples_come_back_by_series_and_time(database: Database) -> None:
    store = Samples(database)
    store.add(
        [cpu(2, NOON + timedelta(seconds=5)), cpu(1, NOON), cpu(7, NOON, "b"), StoredSample("other", NOON, 9, {})]
    )
    first, second = store.query("cpu_percent", NOON, NOON + timedelta(minutes=1), NOON + timedelta(minutes=1))
    assert (first.labels, first.points) == ({"host": "a"}, ((NOON, 1.0), (NOON + timedelta(seconds=5), 2.0)))
    assert (second.labels, len(second.points)) == ({"host": "b"}, 1)
    assert store.query("cpu_percent", NOON, NOON, NOON) == ()


def test_two_samples_of_one_moment_are_one_and_endless_labels_are_left_out(database: Database) -> None:
    store = Samples(database)
    store.add([cpu(1, NOON), cpu(2, NOON), StoredSample("cpu_percent", NOON, 3, {"host": "x" * 600})])
    (series,) = store.query("cpu_percent", NOON, NOON + timedelta(seconds=1), NOON)
    assert series.points == ((NOON, 2.0),)
    store.add([])


def test_minutes_and_hours_are_means_and_the_fine_ones_go_in_time(database: Database) -> None:
    store = Samples(database)
    for hour in range(5):
        store.add(
            [cpu(hour * 10 + second % 2, NOON + timedelta(hours=hour, seconds=30 * second)) for second in range(120)]
        )
        store.roll_up(NOON + timedelta(hours=hour + 1, minutes=5), MONTH)
    now = NOON + timedelta(hours=5, minutes=5)
    assert counted(database) == {RAW: 230, MINUTE: 300, HOUR: 5}
    (hours,) = store.query("cpu_percent", NOON - timedelta(days=3), now, now)
    assert [value for _, value in hours.points] == [0.5, 10.5, 20.5, 30.5, 40.5]
    (minutes,) = store.query("cpu_percent", NOON, now, now)
    assert len(minutes.points) == 300
    (raw,) = store.query("cpu_percent", now - timedelta(hours=1), now, now)
    assert len(raw.points) == 110
    store.roll_up(NOON + timedelta(days=3), MONTH)
    assert counted(database) == {HOUR: 5}
    store.roll_up(NOON + timedelta(days=40), MONTH)
    assert counted(database) == {}


def test_what_is_not_summed_up_yet_ends_a_long_plot_as_it_is(database: Database) -> None:
    store = Samples(database)
    store.add([cpu(1, NOON + timedelta(minutes=minute)) for minute in range(90)])
    now = NOON + timedelta(minutes=90)
    store.roll_up(now, MONTH)
    (series,) = store.query("cpu_percent", NOON - timedelta(days=7), now, now)
    moments = [moment for moment, _ in series.points]
    assert moments[0] == NOON
    assert moments[-1] == NOON + timedelta(minutes=89)
    assert moments == sorted(set(moments))
    assert len(moments) == 1 + 30


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7199), st.floats(-1e6, 1e6)), min_size=1, max_size=40, unique_by=lambda one: one[0]
    )
)
def test_summing_up_often_or_once_gives_the_same_hours(tmp_path: Path, points: dict[int, float]) -> None:
    hours = []
    for name, stops in (("often", range(0, 9000, 1000)), ("once", (8000,))):
        file = tmp_path / f"{name}.db"
        file.unlink(missing_ok=True)
        database = Database(f"sqlite:///{file}")
        samples.create(database.engine)
        store, written = Samples(database), 0
        for stop in stops:
            batch = [
                cpu(value, NOON + timedelta(seconds=second)) for second, value in points if written <= second < stop
            ]
            store.add(batch)
            written = stop
            store.roll_up(NOON + timedelta(seconds=stop), MONTH)
        with database.read() as connection:
            query = sa.select(samples.c.at, samples.c.value).where(samples.c.step == HOUR).order_by(samples.c.at)
            hours.append({row.at: row.value for row in connection.execute(query)})
        database.close()
    assert hours[0] == pytest.approx(hours[1], abs=1e-3)
    assert hours[0]


def test_the_sample_writer_keeps_gauges_only_and_none_that_a_drill_caused(database: Database) -> None:
    store, clock = Samples(database), FakeClock(NOON)
    keeper = SampleWriter(store, clock, lambda: 30)
    keeper.record([Signal("cpu_percent", NOON, 5, {"host": "a"}), Signal("run_finished", NOON, 1, {"run": "r"})])
    keeper.record([Signal("memory_percent", NOON, 99, {"host": "a"}, drill=True)])
    assert keeper.write() == ()
    assert counted(database) == {RAW: 1}


def test_what_cannot_be_written_now_is_written_later(database: Database) -> None:
    keeper = SampleWriter(Samples(database), FakeClock(NOON), lambda: 30)
    keeper.record([Signal("cpu_percent", NOON, 5, {"host": "a"})])
    samples.drop(database.engine)
    with pytest.raises(sa.exc.OperationalError):
        keeper.write()
    samples.create(database.engine)
    keeper.record([Signal("cpu_percent", NOON + timedelta(seconds=5), 6, {"host": "a"})])
    keeper.write()
    assert counted(database) == {RAW: 2}
