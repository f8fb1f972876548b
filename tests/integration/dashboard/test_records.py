"""What the dashboard asks of the records beside what others ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs
from orchestration.storage.spend import Spend
from orchestration.storage.timeline import Timeline
from tests.support.database import migrated

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path / 'test.db'}")
    yield database
    database.close()


def test_turning_the_pages_of_the_runs_shows_each_once_also_those_of_one_moment(database: Database) -> None:
    runs = Runs(database)
    for number in range(10):
        runs.add(Run(f"run-{number}", "g", "/tmp", NOON + timedelta(seconds=number // 4)))
    seen: list[str] = []
    while page := runs.list(limit=3, before=seen[-1] if seen else None):
        seen += [run.id for run in page]
    assert seen == [f"run-{number}" for number in reversed(range(10))]


def test_runs_are_counted_by_status(database: Database) -> None:
    runs = Runs(database)
    assert runs.count_by_status() == {}
    for number, status in enumerate((RunStatus.FAILED, RunStatus.FAILED, RunStatus.QUEUED)):
        runs.add(Run(f"run-{number}", "g", "/tmp", NOON, status))
    assert runs.count_by_status() == {RunStatus.FAILED: 2, RunStatus.QUEUED: 1}
    runs.add(Run("run-later", "g", "/tmp", NOON + timedelta(days=1), RunStatus.FAILED))
    assert runs.count_by_status(since=NOON + timedelta(hours=1)) == {RunStatus.FAILED: 1}


def test_the_last_events_of_a_run_come_in_order_and_so_do_those_before(database: Database) -> None:
    timeline = Timeline(database)
    timeline.append([Event(f"k.{number}", NOON, "run-1" if number % 2 else "run-2") for number in range(10)])
    last = timeline.list_newest("run-1", limit=2)
    assert [event.kind for _, event in last] == ["k.7", "k.9"]
    assert [event.kind for _, event in timeline.list_newest("run-1", before=last[0][0], limit=2)] == ["k.3", "k.5"]


def test_the_last_events_of_a_kind_are_those_since_a_moment(database: Database) -> None:
    timeline = Timeline(database)
    timeline.append([Event("k.a", NOON + timedelta(seconds=number)) for number in range(5)] + [Event("k.b", NOON)])
    found = timeline.list_newest_of_kind("k.a", NOON + timedelta(seconds=2), limit=2)
    assert [event.at.second for _, event in found] == [3, 4]
    assert len(timeline.list_newest_of_kind("k.a", NOON + timedelta(seconds=2))) == 3


def test_spend_is_summed_by_run_and_by_provider(database: Database) -> None:
    spend = Spend(database)
    for number, (run, provider, usd) in enumerate((("run-1", "a", 0.5), ("run-1", "b", None), ("run-2", "b", 1.0))):
        at = NOON + timedelta(hours=number)
        spend.add(Charge(f"key-{number}", run, "planner", provider, "m", 10, 5, usd, at))
    assert spend.by_run(["run-1", "run-3"]) == {"run-1": (30, 0.5)}
    assert spend.by_provider(NOON + timedelta(hours=1)) == {"b": (30, 1.0)}
