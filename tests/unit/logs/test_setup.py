from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
import time_machine

from orchestration import logs
from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.security.redaction import Redactor

KEY = "a-key-that-was-loaded"


class Log:
    """A log in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handle = logs.configure(folder, "INFO", Redactor([KEY]).data)

    @property
    def lines(self) -> list[str]:
        return (self.folder / "orchestrator.log").read_text().splitlines()

    @property
    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "orchestrator.jsonl").read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "logs")
    yield log
    log.handle.close()
    structlog.reset_defaults()


def test_an_entry_is_one_line_for_people_and_one_for_programs(log: Log) -> None:
    with time_machine.travel(datetime(2026, 11, 24, 13, 45, 1, 123_000, UTC), tick=False):
        logs.get_logger("here").error("disk.full", run="run-1", free=0, message="no room")
    assert log.lines == ['2026-11-24T13:45:01.123Z ERROR disk.full run=run-1 free=0 message="no room"']
    assert log.entries == [
        {
            "at": "2026-11-24T13:45:01.123Z",
            "level": "ERROR",
            "logger": "here",
            "event": "disk.full",
            "run": "run-1",
            "free": 0,
            "message": "no room",
        }
    ]


def test_secrets_are_gone_from_both_files_wherever_they_stood(log: Log) -> None:
    try:
        raise ValueError(KEY)
    except ValueError:
        logs.get_logger("x").exception("a.failed", password="hunter2", nested={"list": [f"is {KEY}"]}, message=KEY)
    logging.getLogger("some.library").warning("sent %s", f"Authorization: Bearer {'abc1' * 6}")
    written = "".join(path.read_text() for path in log.folder.iterdir())
    assert KEY not in written
    assert "hunter2" not in written
    assert "abc1abc1" not in written
    assert log.entries[0]["nested"] == {"list": ["is [redacted:credential]"]}
    assert "ValueError: [redacted:credential]" in log.entries[0]["exception"]


@pytest.mark.parametrize("name", ["uvicorn.error", "dbos", "httpx2", "sqlalchemy.engine", "anything.else"])
def test_libraries_write_to_the_same_files_under_their_own_name(log: Log, name: str) -> None:
    logging.getLogger(name).error("it is %s", "broken")
    assert [(entry["event"], entry["message"]) for entry in log.entries] == [(name, "it is broken")]


def test_the_durable_engine_gets_no_way_of_its_own_to_the_terminal(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    from dbos._logger import dbos_logger, init_logger

    init_logger()
    dbos_logger.warning("password=hunter2")
    assert capfd.readouterr() == ("", "")
    assert log.entries[-1]["message"] == "password=[redacted:password]"


def test_a_library_whose_format_does_not_fit_is_heard_all_the_same(log: Log) -> None:
    record = logging.LogRecord("library", logging.WARNING, "", 0, "%d things", ("many",), None)
    log.handle._handler.handle(record)
    assert log.entries[0]["message"] == "%d things ('many',)"
    assert log.handle.failures == 0


def test_fields_may_have_any_name_and_any_value(log: Log) -> None:
    fields = {"name": "n", "args": 1, "msg": "m", "level": "x", "at": None, "logger": "y", "exc_text": "z"}
    logs.get_logger("x").info("a.b", **fields, path=Path("/a"), kinds={"b"}, message="100 % {x}")
    (entry,) = log.entries
    assert (entry["level"], entry["logger"], entry["name"], entry["path"]) == ("INFO", "x", "n", "/a")
    assert (entry["kinds"], entry["message"]) == (["b"], "100 % {x}")


def test_a_bound_field_is_on_every_entry(log: Log) -> None:
    logger = logs.get_logger("x").bind(run="run-7")
    logger.info("a.a")
    logger.info("a.b")
    assert [entry["run"] for entry in log.entries] == ["run-7", "run-7"]


def test_the_level_can_be_changed_while_running(log: Log) -> None:
    logger = logs.get_logger("x")
    logger.debug("a.quiet")
    log.handle.set_level("DEBUG")
    logger.debug("a.loud")
    assert [entry["event"] for entry in log.entries] == ["a.loud"]


async def test_each_event_is_an_entry_with_its_own_time_and_a_level_by_its_kind(log: Log) -> None:
    clock = FakeClock(datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
    bus = EventBus(clock)
    bus.subscribe(logs.log_event)
    await clock.advance(1.5)
    bus.emit("model_call.failed", run_id="run-1", agent="executor", provider="ollama", message="refused")
    bus.emit("route.tripped", actor="anna", level="odd", event="odd")
    bus.emit("run.finished", run_id="run-1", status="succeeded")
    bus.emit("step.progress", tokens=3)
    assert log.lines == [
        "2026-01-05T09:00:01.500Z ERROR model_call.failed run=run-1 agent=executor provider=ollama message=refused",
        "2026-01-05T09:00:01.500Z WARNING route.tripped level_=odd event_=odd actor=anna",
        "2026-01-05T09:00:01.500Z INFO run.finished run=run-1 status=succeeded message=succeeded",
    ]


def test_a_full_disk_never_reaches_the_caller_and_is_said_once_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("orchestrator.log", "orchestrator.jsonl"):
        (tmp_path / name).symlink_to("/dev/full")
    handle = logs.configure(tmp_path, "INFO", Redactor().data)
    logger = logs.get_logger("x")
    try:
        with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as moment:
            for _ in range(5):
                logger.error("a.failed", message="password=hunter2")
            moment.shift(61)
            logger.error("a.failed")
    finally:
        handle.close()
        structlog.reset_defaults()
    complaints = capsys.readouterr().err.splitlines()
    assert handle.failures == 12
    assert [line.rpartition("; ")[2] for line in complaints] == ["1 lines lost so far", "11 lines lost so far"]
    assert "No space left on device" in complaints[0]


def test_an_entry_that_cannot_be_made_into_a_line_is_counted_and_not_shown(
    log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    class Awkward:
        def __str__(self) -> str:
            raise RuntimeError(KEY)

    logs.get_logger("x").info("a.b", value=Awkward())
    assert log.handle.failures == 1
    assert KEY not in capsys.readouterr().err


def test_threads_do_not_mix_their_lines(log: Log) -> None:
    def write(name: int) -> None:
        for number in range(50):
            logs.get_logger("x").info("a.b", name=name, number=number, message="x" * 200)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.lines) == 200
    assert {(entry["name"], entry["number"]) for entry in log.entries} == {(a, b) for a in range(4) for b in range(50)}
