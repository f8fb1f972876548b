"""Keeps a number of worker processes alive: starts them, hears their heartbeats, ends what hangs or grows, replaces.

It knows nothing of runs. A worker that is killed leaves its runs to the others, which recover them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
import psutil

from orchestration import backoff
from orchestration.clock import Clock
from orchestration.events import Bus

_LOOK_SECONDS = 0.25
# Reading the code and opening the database takes seconds on a busy machine; nothing is heard meanwhile.
_START_SECONDS = 60.0
# A worker that has lived this long was in order: the next is started without much waiting.
_SOUND_SECONDS = 60.0
_MEGABYTE = 1_048_576


class WorkerExit(StrEnum):
    """Why a worker has ended, or must."""

    SILENT = "no-heartbeat"
    NEVER_STARTED = "never-started"
    ASKED = "asked-for"
    MEMORY = "memory"
    BY_ITSELF = "by-itself"


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What is asked of a worker: a heartbeat at least so often, at most so much memory, an end within `stop_seconds`.

    The memory is that of the worker itself; the commands that its agents run have limits of their own.
    """

    heartbeat_seconds: float
    memory_mb: int
    stop_seconds: float


@dataclass(slots=True)
class SupervisedWorker:
    """One place for a worker, and the process that holds it now."""

    number: int
    state: str = "starts"
    pid: int | None = None
    doing: str = "nothing"
    memory_mb: int = 0
    replaced: int = 0
    started_at: float = 0.0
    beat_at: float | None = None
    asked: bool = False

    def as_json(self) -> dict[str, Any]:
        """What others may see of it."""
        return {
            "number": self.number,
            "state": self.state,
            "pid": self.pid,
            "doing": self.doing,
            "memoryMb": self.memory_mb,
            "replaced": self.replaced,
        }


def must_end(worker: SupervisedWorker, limits: WorkerLimits, now: float) -> WorkerExit | None:
    """Why a worker has to be killed; None while it is in order. Pure."""
    if worker.asked:
        return WorkerExit.ASKED
    if worker.memory_mb > limits.memory_mb:
        return WorkerExit.MEMORY
    if worker.beat_at is None:
        return WorkerExit.NEVER_STARTED if now - worker.started_at > _START_SECONDS else None
    return WorkerExit.SILENT if now - worker.beat_at > limits.heartbeat_seconds else None


class Supervisor:
    """Keeps `count` workers alive while `run` runs. `command` starts one; `limits` are asked for at each look."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        limits: Callable[[], WorkerLimits],
        bus: Bus,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._command = tuple(command)
        self._limits = limits
        self._bus = bus
        self._clock = clock
        self._chance = chance
        self.workers = tuple(SupervisedWorker(number) for number in range(1, count + 1))

    async def run(self) -> None:
        """Until cancelled; then stop all workers, first politely, and after the grace time not."""
        async with anyio.create_task_group() as group:
            for worker in self.workers:
                group.start_soon(self._keep, worker)
            await anyio.sleep_forever()

    def replace(self, number: int) -> None:
        """Have a worker killed with its process group, and another take its place."""
        for worker in self.workers:
            worker.asked = worker.asked or worker.number == number

    async def _keep(self, worker: SupervisedWorker) -> None:
        """1. Start a process. 2. Wait for it to end, or end it. 3. Wait, longer after each that did not live long.
        4. Begin again."""
        attempt = 0
        while True:
            begun = self._clock.monotonic()
            await self._one_life(worker)
            attempt = 0 if self._clock.monotonic() - begun > _SOUND_SECONDS else attempt + 1
            worker.state, worker.pid, worker.doing, worker.memory_mb = "waits", None, "nothing", 0
            await self._clock.sleep(backoff.delay(attempt, 0.5 + self._chance() / 2))
            worker.replaced += 1
            self._bus.emit("worker.replaced", worker=worker.number, times=worker.replaced)

    async def _one_life(self, worker: SupervisedWorker) -> None:
        with anyio.CancelScope(shield=True):  # half started, a process would be nobody's
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        worker.state, worker.pid, worker.beat_at, worker.asked = "starts", process.pid, None, False
        worker.started_at = self._clock.monotonic()
        self._bus.emit("worker.started", worker=worker.number, pid=process.pid)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._listen, worker, process)
                ending = await self._watch(worker, process)
                group.cancel_scope.cancel()
            await self._end(worker, process, ending)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(process)

    async def _listen(self, worker: SupervisedWorker, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that is no heartbeat
                worker.doing = str(json.loads(line)["doing"])
                worker.state, worker.beat_at = "works", self._clock.monotonic()

    async def _watch(self, worker: SupervisedWorker, process: asyncio.subprocess.Process) -> WorkerExit:
        while process.returncode is None:
            worker.memory_mb = _memory_mb(process.pid)
            if ending := must_end(worker, self._limits(), self._clock.monotonic()):
                return ending
            await self._clock.sleep(_LOOK_SECONDS)
        return WorkerExit.BY_ITSELF

    async def _end(self, worker: SupervisedWorker, process: asyncio.subprocess.Process, ending: WorkerExit) -> None:
        about: dict[str, Any] = {"worker": worker.number, "pid": process.pid, "doing": worker.doing}
        if ending is WorkerExit.BY_ITSELF:
            self._bus.emit("worker.lost", **about, exit_code=process.returncode)
            return
        _signal_group(process, signal.SIGKILL)
        self._bus.emit("worker.killed", **about, reason=ending.value, memory_mb=worker.memory_mb)
        await process.wait()

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            _signal_group(process, signal.SIGTERM)
            with anyio.move_on_after(self._limits().stop_seconds):
                await process.wait()
        _signal_group(process, signal.SIGKILL)  # also what a worker that is gone has left in its group
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _memory_mb(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss // _MEGABYTE)
    except psutil.Error:
        return 0
