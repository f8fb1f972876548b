from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.clock import FakeClock
from orchestration.logs.files import LogFile, LogRotation
from orchestration.monitoring.collectors.log_errors import LogErrors
from orchestration.monitoring.collectors.log_reader import LogFollower, error_lines

ROTATION = LogRotation(max_bytes=400, pause=0.0)
KEEP_ALL = LogRotation(max_bytes=400, pause=0.0, keep=1000)


class Log:
    """A log as the system writes it, rotation and all."""

    def __init__(self, folder: Path, rotation: LogRotation = KEEP_ALL) -> None:
        self.path = folder / "orchestrator.jsonl"
        self._file = LogFile(self.path, rotation)
        self._number = 0

    def write(self, message: str, level: str = "ERROR", **fields: str) -> None:
        self._number += 1
        entry = {"at": "2026-03-01T12:00:00.000Z", "level": level, "event": "x.failed", "message": message, **fields}
        stamp = datetime(2026, 3, 1, 12, 0, 0, self._number, tzinfo=UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        self._file.append(json.dumps(entry), stamp)


def messages(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["message"] for line in lines]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(tmp_path)
    log.write("long ago")
    return log


def test_only_what_comes_after_the_start_is_read_and_each_line_once(log: Log) -> None:
    follower = LogFollower(log.path)
    log.write("a")
    log.write("b")
    assert messages(follower.read()) == ["a", "b"]
    assert follower.read() == []


def test_half_a_line_waits_for_its_other_half(log: Log) -> None:
    follower = LogFollower(log.path)
    with log.path.open("ab") as file:
        file.write(b'{"message": ')
        file.flush()
        assert follower.read() == []
        file.write(b'"whole"}\n')
    assert messages(follower.read()) == ["whole"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.booleans())
def test_no_line_is_lost_or_read_twice_however_often_the_file_is_rotated_between_looks(
    tmp_path_factory: pytest.TempPathFactory, bursts: list[int], compress: bool
) -> None:
    log = Log(tmp_path_factory.mktemp("logs"), LogRotation(max_bytes=400, pause=0.0, keep=1000, compress=compress))
    follower = LogFollower(log.path)
    written, read = [], []
    for number, burst in enumerate(bursts):
        for line in range(burst):
            written.append(f"{number}.{line}")
            log.write(written[-1])
        read += messages(follower.read())
    assert read + messages(follower.read()) == written


def test_a_copy_that_was_made_but_the_file_not_emptied_yet_is_not_read_twice(log: Log) -> None:
    follower = LogFollower(log.path)
    log.write("a")
    copy = log.path.with_name(f"{log.path.name}.20260301T130000.000000Z")
    copy.write_bytes(log.path.read_bytes())
    assert messages(follower.read()) == ["a"]
    log.path.write_bytes(b"")
    assert follower.read() == []
    log.write("b")
    assert messages(follower.read()) == ["b"]


def test_a_file_that_is_deleted_begins_again(log: Log) -> None:
    follower = LogFollower(log.path)
    log.path.unlink()
    assert follower.read() == []
    log.write("anew")
    log.write("and on")
    assert messages(follower.read()) == ["anew", "and on"]


def test_a_file_that_is_emptied_by_hand_begins_again(log: Log) -> None:
    log.write("more")
    follower = LogFollower(log.path)
    log.path.write_bytes(b"")
    log.write("anew")
    assert messages(follower.read()) == ["anew"]


def test_errors_are_grouped_counted_and_marked_when_new(log: Log) -> None:
    watch = LogErrors(log.path, FakeClock())
    log.write("no answer after 3 s", run="run-1")
    log.write("no answer after 17 s")
    log.write("no answer after 4 s", level="INFO")
    log.write("disk full", level="CRITICAL")
    slow, full = watch.collect()
    assert (slow.value, slow.evidence["new"]) == (2.0, True)
    assert slow.evidence["sample"] == "x.failed no answer after 3 s"
    entry = slow.evidence["entry"]
    assert isinstance(entry, dict)
    assert (entry["message"], entry["run"]) == ("no answer after 3 s", "run-1")
    assert full.value == 1.0
    log.write("no answer after 5 s")
    (again,) = watch.collect()
    assert again.labels == slow.labels
    assert again.evidence["new"] is False


def test_an_error_that_the_log_held_before_the_start_is_not_new(log: Log) -> None:
    watch = LogErrors(log.path, FakeClock())
    log.write("long ago")
    (signal,) = watch.collect()
    assert signal.evidence["new"] is False


def test_lines_that_are_no_entries_do_no_harm(log: Log) -> None:
    watch = LogErrors(log.path, FakeClock())
    with log.path.open("ab") as file:
        file.write(b'not json\n[1, 2]\n\xff\xfe\n"ERROR"\n{"level": "ERROR"}\n')
    (signal,) = watch.collect()
    assert signal.value == 1.0


def test_the_last_errors_of_a_run_are_found_across_a_rotation(tmp_path: Path) -> None:
    log = Log(tmp_path, ROTATION)
    for number in range(4):
        log.write(f"{number}", run="run-1")
        log.write("other", run="run-2")
        log.write("fine", level="INFO", run="run-1")
    found = error_lines(log.path, "run-1", limit=2)
    assert [entry["message"] for entry in found] == ["2", "3"]
    assert error_lines(log.path, "run-9") == []
    assert error_lines(tmp_path / "none.jsonl", "run-1") == []


def test_lines_longer_than_a_piece_that_is_read_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "orchestrator.jsonl"
    long = json.dumps({"level": "ERROR", "run": "run-1", "message": "x" * 600_000})
    path.write_text(f"{long}\n{json.dumps({'level': 'ERROR', 'run': 'run-1', 'message': 'short'})}\n")
    assert [len(entry["message"]) for entry in error_lines(path, "run-1")] == [600_000, 5]


def test_packed_copies_are_read_where_they_are_new(log: Log) -> None:
    follower = LogFollower(log.path)
    log.write("a")
    with gzip.open(log.path.with_name(f"{log.path.name}.20260301T130000.000000Z.gz"), "wb") as copy:
        copy.write(log.path.read_bytes())
    log.path.write_bytes(b"")
    assert messages(follower.read()) == ["a"]
