"""Slots that processes share: never more than there are, none lost, and each process gets its share. Two objects with
one file are to the kernel what two processes are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.clock import SystemClock
from orchestration.config.providers.settings import ProviderSettings
from orchestration.providers.concurrency import ConcurrencyLimiter
from orchestration.providers.endpoint import Endpoint
from orchestration.providers.route import ProviderState, RouteRecord
from orchestration.providers.shared_slots import LockFile, SharedSlots
from orchestration.providers.wire import Route

_HOLDS = """
import sys, time
from pathlib import Path
from orchestration.providers.shared_slots import LockFile, SharedSlots
slots = SharedSlots(LockFile(Path(sys.argv[1])))
print([slots.take(4, 0.0) for _ in range(3)], flush=True)
time.sleep(600)
"""

_Steps = st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=60)


@given(limit=st.integers(0, 5), steps=_Steps)
def test_no_sequence_of_calls_takes_more_slots_than_there_are_or_loses_one(
    tmp_path_factory: pytest.TempPathFactory, limit: int, steps: list[tuple[int, bool]]
) -> None:
    file = tmp_path_factory.mktemp("slots") / "a"
    files = [LockFile(file) for _ in range(3)]
    processes = [SharedSlots(one) for one in files]
    taken = [0, 0, 0]
    for number, (who, takes) in enumerate(steps):
        if takes:
            taken[who] += processes[who].take(limit, float(number))
        elif taken[who]:
            processes[who].give_back(limit, float(number))
            taken[who] -= 1
        assert sum(taken) <= limit
    for process, count in zip(processes, taken, strict=True):
        process.stop_waiting()
        for _ in range(count):
            process.give_back(limit, 0.0)
    assert [processes[0].take(limit, 1e9) for _ in range(limit + 1)] == [True] * limit + [False]
    for one in files:
        one.close()


def test_a_process_that_has_its_share_leaves_the_next_slot_to_one_that_waits(tmp_path: Path) -> None:
    first, second = SharedSlots(LockFile(tmp_path / "a")), SharedSlots(LockFile(tmp_path / "a"))
    assert first.take(1, 0.0)
    assert not second.take(1, 0.0)
    assert second.waits
    first.give_back(1, 1.0)
    assert not first.take(1, 1.01)
    assert second.take(1, 1.02)
    assert not second.waits
    second.give_back(1, 1.03)
    # It waits itself now, and is served in turn.
    assert first.take(1, 1.04)


def test_a_slot_that_is_left_to_nobody_is_taken_again_after_a_moment(tmp_path: Path) -> None:
    first, second = SharedSlots(LockFile(tmp_path / "a")), SharedSlots(LockFile(tmp_path / "a"))
    assert first.take(1, 0.0)
    assert not second.take(1, 0.0)
    first.give_back(1, 1.0)
    assert not first.take(1, 1.04)
    assert first.take(1, 1.2)


def test_the_slots_of_a_process_that_is_killed_are_free_at_once(tmp_path: Path) -> None:
    here = SharedSlots(LockFile(tmp_path / "a"))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[True, True, True]\n"
        assert [here.take(4, 0.0), here.take(4, 0.0)] == [True, False]
        other.send_signal(signal.SIGKILL)
    assert [here.take(4, 0.0) for _ in range(4)] == [True, True, True, False]


def test_each_name_has_slots_of_its_own_in_the_same_file(tmp_path: Path) -> None:
    here, there = LockFile(tmp_path / "a"), LockFile(tmp_path / "a")
    for name in ("provider a", "provider b", "token a", "", "a" * 500):
        assert SharedSlots(here, name).take(1, 0.0)
        assert not SharedSlots(there, name).take(1, 0.0)
    assert (tmp_path / "a").stat().st_size == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_to_stops_no_call(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    slots = SharedSlots(LockFile(tmp_path / "slots" / "a"))
    assert all(slots.take(1, 0.0) for _ in range(3))


def test_a_file_in_the_place_of_the_folder_stops_no_call(tmp_path: Path) -> None:
    (tmp_path / "slots").write_text("")
    slots = SharedSlots(LockFile(tmp_path / "slots" / "a"))
    assert all(slots.take(1, 0.0) for _ in range(3))


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_calls_of_several_processes_share_the_slots_fairly(tmp_path: Path, limit: int) -> None:
    settings = ProviderSettings(base_url="http://127.0.0.1:9/v1", concurrency=limit)
    at_once, most, served = 0, 0, [0, 0, 0]
    done = anyio.Event()

    async def call(process: int, limiter: ConcurrencyLimiter, record: RouteRecord) -> None:
        nonlocal at_once, most
        while not done.is_set():
            taken = await limiter.acquire(lambda: record if record.provider.try_acquire(clock.monotonic()) else 60.0)
            at_once += 1
            most = max(most, at_once)
            await anyio.sleep(0.005)
            at_once -= 1
            served[process] += 1
            limiter.release(taken)
            if sum(served) >= 120:
                done.set()

    clock = SystemClock()
    async with anyio.create_task_group() as group:
        for process in range(3):
            provider = ProviderState(Endpoint("a", settings, {}), SharedSlots(LockFile(tmp_path / "a")))
            record = RouteRecord(Route("a", "m"), provider)
            limiter = ConcurrencyLimiter(clock, provider.slots)
            for _ in range(5):
                group.start_soon(call, process, limiter, record)
    assert most == limit
    assert min(served) >= 20, served
