from __future__ import annotations

import fcntl
import gzip
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from orchestration.logs.files import LogFile, LogRotation
from tests.support.patience import Stopwatch, patient, until

QUICK = LogRotation(max_bytes=100, keep=3, pause=0)
# Appends numbered lines: arguments are the file, a name, how many, and the size at which to rotate.
WRITER = """
import sys
from pathlib import Path
from orchestration.logs.files import LogFile, LogRotation
path, name, count, size = sys.argv[1:]
file = LogFile(Path(path), LogRotation(max_bytes=int(size), keep=1000, pause=0.2))
for number in range(int(count)):
    file.append(f"{name}:{number} {'x' * 80} end", f"{name}-{number:06}")
"""


def start_writers(path: Path, names: str, count: int, size: int) -> list[subprocess.Popen[bytes]]:
    arguments = [[sys.executable, "-c", WRITER, str(path), name, str(count), str(size)] for name in names]
    return [subprocess.Popen(each) for each in arguments]


def expected_lines(names: str, count: int) -> Counter[str]:
    return Counter(f"{name}:{number} {'x' * 80} end" for name in names for number in range(count))


def lines_of(folder: Path) -> list[str]:
    return [line for path in folder.iterdir() for line in path.read_text().splitlines()]


def test_a_file_that_is_full_is_copied_and_begins_again(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", QUICK)
    inode = None
    for number in range(3):
        file.append(f"{number}" * 59, f"t{number}")
        inode = inode or (tmp_path / "a.log").stat().st_ino
    assert {path.name: path.read_text()[0] for path in tmp_path.iterdir()} == {
        "a.log": "2",
        "a.log.t1": "0",
        "a.log.t2": "1",
    }
    assert (tmp_path / "a.log").stat().st_ino == inode


def test_only_the_newest_copies_are_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", QUICK)
    for number in range(9):
        file.append("x" * 90, f"t{number}")
    assert sorted(path.name for path in tmp_path.glob("a.log.*")) == ["a.log.t6", "a.log.t7", "a.log.t8"]


def test_copies_are_packed_when_asked_for(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", LogRotation(max_bytes=100, compress=True, pause=0))
    file.append("first " * 14, "t0")
    file.append("second " * 13, "t1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.t1.gz"]
    assert gzip.decompress((tmp_path / "a.log.t1.gz").read_bytes()).startswith(b"first")


def test_a_line_that_is_larger_than_a_whole_file_is_written_all_the_same(tmp_path: Path) -> None:
    LogFile(tmp_path / "a.log", QUICK).append("x" * 500, "t")
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]


def test_a_file_and_a_folder_that_were_deleted_are_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    file = LogFile(path, QUICK)
    file.append("one", "t")
    path.unlink()
    file.append("two", "t")
    path.unlink()
    path.parent.rmdir()
    file.append("three", "t")
    assert path.read_text() == "three\n"


def test_where_no_copy_can_be_made_the_file_goes_on_growing(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log", QUICK)
    for _ in range(4):
        file.append("x" * 60, "n" * 300)  # no file can have so long a name
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]
    assert len((tmp_path / "a.log").read_text().splitlines()) == 4


def test_a_lock_that_is_never_let_go_delays_only_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(path, QUICK)
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        file.append("first", "t")
        start = Stopwatch()
        for _ in range(10):
            file.append("more", "t")
        assert start.is_within(5), start
    assert len(path.read_text().splitlines()) == 11


def test_a_full_disk_is_an_error_and_leaves_no_torn_line(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from orchestration.logs.files import LogFile, LogRotation
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
file, failed = LogFile(Path(sys.argv[1]), LogRotation(pause=0)), 0
for number in range(5):
    try:
        file.append(f"{number}" * 299, "t")
    except OSError:
        failed += 1
sys.exit(failed)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.log")], check=False)
    assert done.returncode == 2
    assert (tmp_path / "a.log").read_text() == "".join(f"{number}" * 299 + "\n" for number in range(3))


def test_no_line_of_several_processes_is_lost_or_torn_across_rotations(tmp_path: Path) -> None:
    names, count = "abc", 400
    for writer in start_writers(tmp_path / "a.log", names, count, 30_000):
        assert writer.wait(patient(60)) == 0
    assert Counter(lines_of(tmp_path)) == expected_lines(names, count)
    assert len(list(tmp_path.iterdir())) >= 3


def test_tail_sees_every_line_across_rotations(tmp_path: Path) -> None:
    path, output = tmp_path / "logs" / "a.log", tmp_path / "seen"
    path.parent.mkdir()
    path.touch()
    names, count = "abc", 400
    with output.open("wb") as target:
        tail = subprocess.Popen(["tail", "-n", "+1", "-f", str(path)], stdout=target, stderr=subprocess.DEVNULL)
        try:
            for writer in start_writers(path, names, count, 30_000):
                assert writer.wait(patient(60)) == 0
            until(lambda: output.read_bytes().count(b"\n") >= len(names) * count, 20)
        finally:
            tail.kill()
            tail.wait()
    assert len(list(path.parent.iterdir())) >= 3
    assert Counter(output.read_text().splitlines()) == expected_lines(names, count)


def test_cleaning_up_while_processes_write_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    writers = start_writers(folder / "a.log", "ab", 600, 20_000)
    while any(writer.poll() is None for writer in writers):
        for path in folder.iterdir():
            os.utime(path, (0, 0))
        subprocess.run(
            ["find", str(folder), "-mindepth", "1", "-mtime", "+7", "-delete"], check=False, stderr=subprocess.DEVNULL
        )
        time.sleep(0.05)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert set(lines_of(folder)) <= set(expected_lines("ab", 600))
    LogFile(folder / "a.log", QUICK).append("still here", "t")
    assert (folder / "a.log").read_text().endswith("still here\n")


@pytest.mark.parametrize("name", ["a.log", "a.jsonl"])
def test_others_may_not_read_the_log(tmp_path: Path, name: str) -> None:
    LogFile(tmp_path / name, QUICK).append("x", "t")
    assert (tmp_path / name).stat().st_mode & 0o007 == 0
