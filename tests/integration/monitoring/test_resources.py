from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.clock import FakeClock, SystemClock
from orchestration.monitoring.collectors import cgroup
from orchestration.monitoring.collectors.cgroup import CgroupUsage
from orchestration.monitoring.collectors.processes import MemoryWatch, family, top
from orchestration.monitoring.collectors.resources import ResourceCollector, disks

MEGABYTE = 1_048_576
GROUPS = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def process(code: str) -> Iterator[subprocess.Popen[str]]:
    """A child that says `ready` and then goes on."""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


HOLD = "import sys; held = bytearray({megabytes} * 1048576); print('ready', flush=True); sys.stdin.read()"
HOLD_WHEN_TOLD = """
import sys
print('ready', flush=True)
sys.stdin.readline()
held = bytearray(48 * 1048576)
print('held', flush=True)
sys.stdin.read()
"""
BURN = "print('ready', flush=True)\nwhile True: pass"


def test_a_child_that_allocates_is_among_the_largest_and_one_that_burns_among_the_busiest() -> None:
    with process(HOLD.format(megabytes=300)) as large, process(BURN) as busy:
        found = {use.pid: use for use in top(50, lambda text: text.replace("sys.stdin", "***"), SystemClock())}
    assert found[large.pid].memory_bytes > 300 * MEGABYTE
    assert found[large.pid].ours
    assert "***" in found[large.pid].command
    assert found[busy.pid].cpu_percent > found[large.pid].cpu_percent
    assert len(top(1, str, SystemClock())) in (1, 2)


def test_a_child_is_of_the_family_and_a_stranger_is_not() -> None:
    with process(HOLD.format(megabytes=1)) as child:
        assert {one.pid for one in family()} >= {os.getpid(), child.pid}
    assert 1 not in {one.pid for one in family()}


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[tuple[Path, str]]:
    """A control group of our own with a limit on memory; yields its folder and what `/proc/self/cgroup` says in it."""
    second = (GROUPS / "cgroup.controllers").exists()
    parent = GROUPS if second else GROUPS / "memory"
    group = parent / f"orchestration-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(limit))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    try:
        yield group, f"0::/{group.name}\n" if second else f"4:memory:/{group.name}\n"
    finally:
        for _ in range(50):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


def test_memory_in_a_real_control_group_is_measured_against_its_limit(tmp_path: Path) -> None:
    code = (
        "import sys; sys.stdin.readline(); held = bytearray(48 * 1048576); print('held', flush=True); sys.stdin.read()"
    )
    with memory_group(64 * MEGABYTE) as (group, line), process(f"print('ready', flush=True); {code}") as child:
        membership = tmp_path / "membership"
        membership.write_text(line)
        (group / "cgroup.procs").write_text(str(child.pid))
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "held\n"
        usage = cgroup.read(GROUPS, membership)
        seen = ResourceCollector(SystemClock(), [tmp_path], str, lambda: usage).snapshot()
        child.kill()
        child.wait()
    assert usage.memory_limit == 64 * MEGABYTE
    assert seen.limited
    assert seen.memory_total == 64 * MEGABYTE
    assert 70 < seen.memory_percent <= 100


async def test_a_processor_limit_is_what_the_percentage_is_of() -> None:
    clock, used = FakeClock(), 10.0
    resources = ResourceCollector(clock, [], str, lambda: CgroupUsage(cpus=0.5, cpu_seconds=used))
    assert "cpu_percent" not in [signal.name for signal in resources.collect()]
    await clock.advance(1.0)
    used += 0.45
    (cpu,) = [signal for signal in resources.collect() if signal.name == "cpu_percent"]
    assert (cpu.value, cpu.evidence["cpus"]) == (90.0, 0.5)
    assert "top" in cpu.evidence


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=100", "none", str(place)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def free(place: Path) -> float:
    clock = SystemClock()
    signals = ResourceCollector(clock, [place], str).collect()
    (signal,) = [one for one in signals if one.name == "disk_free_percent"]
    assert signal.labels["path"] == str(place)
    return signal.value


def test_a_disk_that_fills_up_is_seen_to(small_disk: Path) -> None:
    assert free(small_disk) > 90
    (small_disk / "log").write_bytes(b"x" * (MEGABYTE + MEGABYTE // 2))
    assert 20 < free(small_disk) < 30
    (small_disk / "log").write_bytes(b"x" * (2 * MEGABYTE))
    assert free(small_disk) == 0.0


def test_a_disk_that_has_room_but_no_files_left_is_full(small_disk: Path) -> None:
    for number in range(96):
        (small_disk / str(number)).touch()
    (disk,) = disks([small_disk])
    assert disk.free_percent > 90
    assert free(small_disk) < 5


def test_folders_on_one_disk_are_one_disk_and_those_not_made_yet_are_looked_for_above(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = disks([tmp_path / "a", tmp_path / "b" / "not" / "yet", tmp_path])
    assert [disk.path for disk in found] == [str(tmp_path / "a")]
    assert 0 < found[0].free_bytes < found[0].total_bytes


def test_a_process_that_grows_steadily_is_suspected_and_forgotten_when_it_is_gone() -> None:
    watch = MemoryWatch(str)
    for minute in range(15):
        seen = {(10, 1.0): 100 * MEGABYTE + 3 * minute * MEGABYTE, (11, 1.0): 500 * MEGABYTE}
        watch.record(60.0 * minute, seen)
    (leak,) = watch.leaks()
    assert leak.pid == 10
    assert leak.bytes_per_second == pytest.approx(3 * MEGABYTE / 60)
    watch.record(1000.0, {(11, 1.0): 500 * MEGABYTE})
    assert watch.leaks() == ()


def test_the_first_look_does_not_make_up_a_processor_use_that_was_never_measured(tmp_path: Path) -> None:
    resources = ResourceCollector(SystemClock(), [tmp_path], str)
    assert [signal.name for signal in resources.collect()] == ["memory_percent", "disk_free_percent"]
    time.sleep(0.05)
    assert [signal.name for signal in resources.collect()] == ["cpu_percent", "memory_percent", "disk_free_percent"]


def test_a_snapshot_is_json_and_names_the_processes(tmp_path: Path) -> None:
    snapshot = ResourceCollector(SystemClock(), [tmp_path], str).snapshot()
    data = snapshot.as_json()
    assert snapshot.cpu_percent is not None
    assert 0 <= snapshot.cpu_percent <= 100
    assert 0 < snapshot.memory_percent <= 100
    assert snapshot.memory_used < snapshot.memory_total
    assert data["top"]
    assert data["disks"]
