"""The contents of calls in the database, on every kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.storage.call_records import CallKind, CallRecord, CallRecords
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs
from orchestration.storage.timeline import Timeline
from tests.support.database import migrated

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


def record(number: int, run_id: str = "run-1", *, ended: bool = True) -> CallRecord:
    at = NOON + timedelta(seconds=number)
    content = {"messages": [{"role": "user", "digest": f"d{number}", "size": 4}]}
    return CallRecord(f"{run_id}.p_x/{number}", run_id, "p_x", CallKind.MODEL, at, at if ended else None, content)


def test_calls_are_found_replaced_and_deleted_with_their_run(database: Database) -> None:
    records = CallRecords(database)
    records.save([record(1), record(2, ended=False)], {"run-1": {"d1": "täxt", "d2": "more"}})
    assert records.find("run-1.p_x/1") == record(1)
    assert [one.key for one in records.list_open("run-1")] == ["run-1.p_x/2"]
    assert records.find_before(record(2)) == record(1)
    assert records.find_before(record(1)) is None
    assert records.read_texts("run-1", ["d1", "none"]) == {"d1": "täxt"}
    assert records.size_of("run-1") == 8
    records.save([record(2)], {"run-1": {"d2": "more"}})
    assert records.list_open("run-1") == ()
    assert records.size_of("run-1") == 8
    ended = Run("run-1", "g", "/w", NOON, RunStatus.SUCCEEDED, finished_at=NOON)
    for run in (ended, replace(ended, id="run-2", finished_at=None, status=RunStatus.RUNNING)):
        Runs(database).add(run)
    records.save([record(1, "run-2")], {"run-2": {"d1": "stays"}})
    assert records.delete_ended(NOON + timedelta(days=1)) == 2
    assert records.find("run-1.p_x/1") is None
    assert records.read_texts("run-1", ["d1", "d2"]) == {}
    assert records.read_texts("run-2", ["d1"]) == {"d1": "stays"}


def test_the_events_of_one_call_are_found_by_its_key(database: Database) -> None:
    timeline = Timeline(database)
    kinds = ("model_call.failed", "model_call.finished", "tool_call.finished")
    timeline.append([Event(kind, NOON, "run-1", data={"key": "run-1.p/1"}) for kind in kinds[:2]])
    timeline.append([Event(kinds[2], NOON, "run-1", data={"key": "run-1.p/2"}), Event("run.created", NOON, "run-1")])
    assert [event.kind for _, event in timeline.list_of_call("run-1", "run-1.p/1")] == list(kinds[:2])
    assert timeline.list_of_kinds([], kinds) == {}
    assert len(timeline.list_of_kinds(["run-1"], kinds)["run-1"]) == 3
