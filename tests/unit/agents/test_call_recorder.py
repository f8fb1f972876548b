"""What is said in calls is recorded: without secrets, once, within bounds, and also when the database is away."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestration.agents import call_recorder
from orchestration.agents.call_recorder import CallRecorder
from orchestration.clock import SystemClock
from orchestration.security.redaction import Redactor
from orchestration.storage.call_records import CallKind, CallRecord, CallRecords
from orchestration.storage.database import Database, UnavailableError
from tests.support.database import migrated
from tests.support.patience import patient

SECRET = "ghp_" + "A1b2C3d4E5" * 3
PASSWORD = "correct horse battery staple"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path}/db")
    yield database
    database.close()


@pytest.fixture
def records(database: Database) -> CallRecords:
    return CallRecords(database)


@contextmanager
def recorder(records: CallRecords, is_on: Callable[[], bool] = lambda: True) -> Iterator[CallRecorder]:
    one = CallRecorder(records, Redactor([PASSWORD]).data, SystemClock(), is_on)
    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(one.running()):
        yield one


def flushed(one: CallRecorder) -> None:
    written = threading.Event()
    one.call_when_written(written.set)
    assert written.wait(patient(10))


def ask(one: CallRecorder, number: int, messages: list[dict[str, Any]], **answer: Any) -> None:
    recording = one.begin(f"run-1.planner/{number}", "run-1", "planner", CallKind.MODEL, messages=messages, settings={})
    if answer:
        recording.add(**answer)


def texts(records: CallRecords, record: CallRecord) -> list[str]:
    digests = [one["digest"] for one in record.content["messages"]]
    found = records.read_texts("run-1", [digest for digest in digests if digest])
    return [json.loads(found[digest])["content"] if digest else "" for digest in digests]


def test_a_call_can_be_read_while_it_is_under_way_and_when_it_has_ended(records: CallRecords) -> None:
    with recorder(records) as one:
        recording = one.begin(
            "run-1.planner/1", "run-1", "planner", CallKind.MODEL, messages=[{"role": "user", "content": "mend it"}]
        )
        flushed(one)
        (open_,) = records.list_open("run-1")
        assert open_.key == "run-1.planner/1"
        recording.add(answer={"role": "assistant", "content": "done"}, finish_reason="stop")
        flushed(one)
        assert records.list_open("run-1") == ()
        found = records.find("run-1.planner/1")
        assert found is not None
        assert texts(records, found) == ["mend it"]
        answer = records.read_texts("run-1", [found.content["answer"]["digest"]])
        assert [json.loads(text)["content"] for text in answer.values()] == ["done"]


def test_no_secret_is_kept_wherever_it_stands(database: Database, records: CallRecords) -> None:
    call = {"id": "c", "function": {"name": "run_command", "arguments": json.dumps({"token": SECRET, "c": PASSWORD})}}
    with recorder(records) as one:
        ask(one, 1, [{"role": "user", "content": f"log in with {SECRET}"}, {"role": "tool", "content": PASSWORD}],
            answer={"content": f"it is {PASSWORD}", "reasoning_content": SECRET, "tool_calls": [call]},
            failure={"kind": "x", "message": f"401 for {SECRET}"})  # fmt: skip
        tool = one.begin("run-1.p/2", "run-1", "p", CallKind.TOOL, name="run_command", arguments=f"echo {SECRET}")
        tool.add(output=f"{PASSWORD}\n" * 3, exit_code=1)
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT content FROM call_records").scalars().all()
        digests = connection.exec_driver_sql("SELECT digest FROM call_texts").scalars().all()
    kept = "".join([*rows, *records.read_texts("run-1", digests).values()])
    assert "[redacted:" in kept
    assert SECRET not in kept
    assert PASSWORD not in kept


def test_a_conversation_is_kept_once_however_often_it_is_sent(database: Database, records: CallRecords) -> None:
    messages = [{"role": "user", "content": f"message {number} " + "x" * 1000} for number in range(30)]
    with recorder(records) as one:
        for number in range(1, 31):
            ask(one, number, messages[:number], answer={"content": f"answer {number}"})
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM call_texts").scalar() == 60
    last = records.find("run-1.planner/30")
    assert last is not None
    assert texts(records, last) == [one["content"] for one in messages]
    before = records.find_before(last)
    assert before is not None
    assert before.key == "run-1.planner/29"


def test_texts_and_runs_have_a_bound(records: CallRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_recorder, "MOST_OF_A_TEXT", 1000)
    monkeypatch.setattr(call_recorder, "MOST_OF_A_RUN", 5000)
    with recorder(records) as one:
        ask(one, 1, [{"role": "user", "content": "begin " + "x" * 5000 + " end"}], answer={"content": "y"})
    long = records.find("run-1.planner/1")
    assert long is not None
    (text,) = texts(records, long)
    assert len(text) < 1100
    assert (text[:6], text[-4:]) == ("begin ", " end")
    assert "4,010 characters are not kept" in text
    # Another process goes on with the run, and counts what is there.
    with recorder(records) as one:
        ask(one, 2, [{"role": "user", "content": f"{number}" * 900} for number in range(9)], answer={"content": "z"})
    full = records.find("run-1.planner/2")
    assert full is not None
    assert full.content["messages"][-1]["digest"] is None
    assert records.size_of("run-1") <= 5000


def test_nothing_is_lost_while_the_database_is_away_for_a_while(database: Database, records: CallRecords) -> None:
    with recorder(records) as one:
        database.suspend("it is being restored")
        ask(one, 1, [{"role": "user", "content": "while it was away"}], answer={"content": "y"})
        flushed(one)
        with pytest.raises(UnavailableError):
            records.find("run-1.planner/1")
        database.suspend("")
        ask(one, 2, [{"role": "user", "content": "while it was away"}], answer={"content": "z"})
    for number in (1, 2):
        found = records.find(f"run-1.planner/{number}")
        assert found is not None
        assert texts(records, found) == ["while it was away"]


def test_a_long_outage_costs_the_oldest_and_what_follows_is_whole(
    database: Database, records: CallRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_recorder, "_MOST_PENDING", 5)
    same = [{"role": "system", "content": "always the same"}]
    with recorder(records) as one:
        database.suspend("gone")
        for number in range(1, 21):
            ask(one, number, same, answer={"content": "y"})
            flushed(one)
        database.suspend("")
        ask(one, 21, same, answer={"content": "z"})
    last = records.find("run-1.planner/21")
    assert last is not None
    assert texts(records, last) == ["always the same"]
    assert records.find("run-1.planner/1") is None


@pytest.mark.parametrize(
    ("key", "run_id", "on"), [(None, "run-1", True), ("run-1.p/1", None, True), ("run-1.p/1", "run-1", False)]
)
def test_what_belongs_to_no_run_or_is_switched_off_is_not_kept(
    database: Database, records: CallRecords, key: str | None, run_id: str | None, on: bool
) -> None:
    with recorder(records, lambda: on) as one:
        one.begin(key, run_id, None, CallKind.MODEL, messages=[{"role": "user", "content": "x"}]).add(answer={})
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM call_records").scalar() == 0
