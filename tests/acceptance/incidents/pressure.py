"""Real pressure in a small room: a file system of a few megabytes, a control group with little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.project import wait_until

MEGABYTE = 1_048_576
_GROUPS = Path("/sys/fs/cgroup")
# Takes memory until the group uses so many bytes, and keeps it there.
_HOLD = """
import sys, time
from pathlib import Path
group, wanted, held = Path(sys.argv[1]), int(sys.argv[2]), []
second = (group / "memory.current").exists()
def used():
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    whole = int((group / ("memory.current" if second else "memory.usage_in_bytes")).read_text())
    return whole - int(stat["inactive_file" if second else "total_inactive_file"])
while True:
    if used() < wanted:
        held.append(bytearray(b"x" * 2 * 1048576))
    else:
        print("held", flush=True)
        time.sleep(0.05)
"""


@contextmanager
def a_small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at the folder; the test is skipped where none can be mounted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here; as root on Linux it can")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class MemoryGroup:
    """A control group with a limit on memory."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self._limit = limit

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is started in the block lives in the group; we ourselves leave it again."""
        second = (self.folder / "memory.current").exists()
        before = _our_group(second)
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (before / "cgroup.procs").write_text(str(os.getpid()))

    @contextmanager
    def filled(self, share: float) -> Iterator[None]:
        """For as long as the block lasts, so much of the memory is used."""
        with self.inside():
            command = [sys.executable, "-c", _HOLD, str(self.folder), str(int(share * self._limit))]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            yield
        finally:
            process.kill()
            process.communicate()


@contextmanager
def a_memory_group(megabytes: int) -> Iterator[MemoryGroup]:
    """A group of our own; the test is skipped where none can be made."""
    second = (_GROUPS / "cgroup.controllers").exists()
    folder = (_GROUPS if second else _GROUPS / "memory") / f"orchestration-pressure-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(megabytes * MEGABYTE))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield MemoryGroup(folder, megabytes * MEGABYTE)
    finally:
        wait_until(lambda: _removed(folder), "for the group to be empty")


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        time.sleep(0.05)
        return False
    return True


def _our_group(second: bool) -> Path:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers == ("" if second else "memory"):
            root = _GROUPS if second else _GROUPS / "memory"
            return root / place.strip("/")
    pytest.skip("our own control group is not known here")
