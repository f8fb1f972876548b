"""The supervisor, with stand-ins for workers: processes of their own that behave badly on purpose."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from orchestration.clock import SystemClock
from orchestration.events import Event, EventBus
from orchestration.workers.supervisor import SupervisedWorker, Supervisor, WorkerExit, WorkerLimits, exit_reason
from tests.support.patience import fail_after

STAND_IN = Path(__file__).with_name("stand_in.py")
LIMITS = WorkerLimits(heartbeat_seconds=1.0, memory_mb=200, stop_seconds=1.0)


@asynccontextmanager
async def supervising(behaviour: str, count: int = 1) -> AsyncIterator[tuple[Supervisor, list[Event]]]:
    events: list[Event] = []
    bus = EventBus(SystemClock())
    bus.subscribe(events.append)
    command = (sys.executable, "-S", str(STAND_IN), behaviour)
    supervisor = Supervisor(command, count, lambda: LIMITS, bus, SystemClock(), random_number=lambda: 0.0)
    async with anyio.create_task_group() as group:
        group.start_soon(supervisor.run)
        yield supervisor, events
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with fail_after(20):
        while not condition():
            await anyio.sleep(0.02)


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


async def test_workers_are_started_and_heard() -> None:
    async with supervising("sound", 2) as (supervisor, events):
        await until(lambda: all(worker.state == "works" for worker in supervisor.workers))
        assert [worker.activity for worker in supervisor.workers] == ["something"] * 2
        assert kinds(events) == ["worker.started", "worker.started"]
        pids = [worker.pid for worker in supervisor.workers]
        assert [event.data["pid"] for event in events] == pids
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)


async def test_a_worker_that_falls_silent_is_killed_and_replaced() -> None:
    async with supervising("silent") as (supervisor, events):
        await until(lambda: supervisor.workers[0].replaced == 1)
        assert kinds(events)[:3] == ["worker.started", "worker.killed", "worker.replaced"]
        assert (events[1].data["reason"], events[1].data["doing"]) == ("no-heartbeat", "something")
        assert not psutil.pid_exists(events[0].data["pid"])


async def test_a_worker_that_is_stopped_in_its_tracks_is_killed_and_replaced() -> None:
    async with supervising("sound") as (supervisor, events):
        await until(lambda: supervisor.workers[0].state == "works")
        os.kill(supervisor.workers[0].pid or 0, signal.SIGSTOP)
        await until(lambda: supervisor.workers[0].replaced == 1 and supervisor.workers[0].state == "works")
        assert kinds(events) == ["worker.started", "worker.killed", "worker.replaced", "worker.started"]


async def test_a_worker_that_takes_too_much_memory_is_killed() -> None:
    async with supervising("greedy") as (_, events):
        await until(lambda: "worker.killed" in kinds(events))
        assert events[1].data["reason"] == "memory"
        assert events[1].data["memory_mb"] > 200


async def test_a_worker_that_ends_by_itself_is_replaced_after_longer_and_longer_waits() -> None:
    async with supervising("crashing") as (supervisor, events):
        await until(lambda: supervisor.workers[0].replaced == 2)
        assert kinds(events)[:3] == ["worker.started", "worker.lost", "worker.replaced"]
        assert events[1].data["exit_code"] == 3
        lost = [event.at for event in events if event.kind == "worker.lost"]
        back = [event.at for event in events if event.kind == "worker.replaced"]
        waits = [(then - at).total_seconds() for at, then in zip(lost, back, strict=False)]
        assert waits[0] < waits[1]


async def test_what_is_no_heartbeat_does_not_count_as_one() -> None:
    async with supervising("babbling") as (supervisor, events):
        await until(lambda: supervisor.workers[0].activity == "something")
        assert kinds(events) == ["worker.started"]


async def test_workers_that_do_not_stop_when_told_are_killed_after_the_grace_time() -> None:
    async with supervising("stubborn", 2) as (supervisor, _):
        await until(lambda: all(worker.state == "works" for worker in supervisor.workers))
        pids = [worker.pid or 0 for worker in supervisor.workers]
        begun = anyio.current_time()
    assert 1.0 <= anyio.current_time() - begun < 5.0
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(
    ("worker", "now", "ending"),
    [
        (SupervisedWorker(1, started_at=0), 59.0, None),
        (SupervisedWorker(1, started_at=0), 61.0, WorkerExit.NEVER_STARTED),
        (SupervisedWorker(1, started_at=0, beat_at=90), 91.0, None),
        (SupervisedWorker(1, started_at=0, beat_at=90), 91.1, WorkerExit.SILENT),
        (SupervisedWorker(1, started_at=0, beat_at=90, memory_mb=200), 90.0, None),
        (SupervisedWorker(1, started_at=0, beat_at=90, memory_mb=201), 90.0, WorkerExit.MEMORY),
        (SupervisedWorker(1, started_at=0, memory_mb=201), 1.0, WorkerExit.MEMORY),
    ],
)
def test_a_worker_has_to_end_when_it_breaks_a_limit(
    worker: SupervisedWorker, now: float, ending: WorkerExit | None
) -> None:
    assert exit_reason(worker, LIMITS, now) is ending
