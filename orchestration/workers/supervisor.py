"""Keeps a number of worker processes alive: starts them, reads their heartbeats, kills those that hang or use too much
memory, and replaces those that end.

It knows nothing of runs. A worker that is killed leaves its runs to the others, which recover them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import anyio
import psutil

from orchestration import backoff
from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted

_CHECK_SECONDS = 0.25
# Importing the code and opening the database takes seconds on a busy machine, and no heartbeat comes meanwhile.
_START_SECONDS = 60.0
# A worker that has lived this long was sound, so its replacement starts without the back-off of a crash loop.
_SOUND_SECONDS = 60.0
_MEGABYTE = 1_048_576


class WorkerExit(StrEnum):
    """Why a worker has ended, or has to be ended. The values are fields of events."""

    SILENT = "no-heartbeat"
    NEVER_STARTED = "never-started"
    REQUESTED = "asked-for"
    MEMORY = "memory"
    BY_ITSELF = "by-itself"


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """The limits of a worker: seconds between two heartbeats, megabytes of memory, seconds to stop in.

    The memory is that of the worker itself; the commands that its agents run have limits of their own.
    """

    heartbeat_seconds: float
    memory_mb: int
    stop_seconds: float


@dataclass(slots=True)
class SupervisedWorker:
    """One of the supervisor's worker slots, and the process that fills it now."""

    number: int
    state: str = "starts"
    pid: int | None = None
    activity: str = "nothing"
    memory_mb: int = 0
    replaced: int = 0
    started_at: float = 0.0
    beat_at: float | None = None
    replacement_requested: bool = False

    def as_json(self) -> dict[str, Any]:
        """As published in the control process's lease and by the API."""
        return {
            "number": self.number,
            "state": self.state,
            "pid": self.pid,
            "doing": self.activity,
            "memoryMb": self.memory_mb,
            "replaced": self.replaced,
        }


def exit_reason(worker: SupervisedWorker, limits: WorkerLimits, now: float) -> WorkerExit | None:
    """Why a worker has to be killed; None while it is sound. Pure."""
    if worker.replacement_requested:
        return WorkerExit.REQUESTED
    if worker.memory_mb > limits.memory_mb:
        return WorkerExit.MEMORY
    if worker.beat_at is None:
        return WorkerExit.NEVER_STARTED if now - worker.started_at > _START_SECONDS else None
    return WorkerExit.SILENT if now - worker.beat_at > limits.heartbeat_seconds else None


class Supervisor:
    """Keeps `count` workers alive while `run` runs. `command` starts one; `limits` are read anew for each check, so an
    edit of the configuration takes effect at once. Workers inherit the `descriptors`."""

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        limits: Callable[[], WorkerLimits],
        bus: EventBus,
        clock: Clock,
        random_number: Callable[[], float] = random.random,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._descriptors = tuple(descriptors)
        self._command = tuple(command)
        self._limits = limits
        self._bus = bus
        self._clock = clock
        self._random = random_number
        self.workers = tuple(SupervisedWorker(number) for number in range(1, count + 1))

    async def run(self) -> None:
        """Run until cancelled; then ask all workers to stop, and kill those that do not within the grace time."""
        async with anyio.create_task_group() as group:
            for worker in self.workers:
                group.start_soon(self._keep_alive, worker)
            await anyio.sleep_forever()

    def replace(self, number: int) -> None:
        """Have a worker killed with its process group and replaced."""
        for worker in self.workers:
            if worker.number == number:
                worker.replacement_requested = True

    async def _keep_alive(self, worker: SupervisedWorker) -> None:
        """1. Start a process. 2. Wait for its end, or end it. 3. Back off, longer after each that did not live long.
        4. Start again."""
        attempt = 0
        while True:
            started_at = self._clock.monotonic()
            await self._run_process(worker)
            attempt = 0 if self._clock.monotonic() - started_at > _SOUND_SECONDS else attempt + 1
            worker.state, worker.pid, worker.activity, worker.memory_mb = "waits", None, "nothing", 0
            # At least half of the delay: full jitter could make a worker that crashes at once restart at once.
            await self._clock.sleep(backoff.delay(attempt, 0.5 + self._random() / 2))
            worker.replaced += 1
            self._bus.publish(WorkerReplaced(worker=worker.number, times=worker.replaced))

    async def _run_process(self, worker: SupervisedWorker) -> None:
        with anyio.CancelScope(shield=True):  # a cancelled start would leave a process without an owner
            process = await asyncio.create_subprocess_exec(
                *self._command,
                # The worker learns of this process's death by the end of its standard input.
                stdin=PIPE,
                stdout=PIPE,
                # A process group of its own, so that a kill reaches the tools of its agents, and a Ctrl-C at the
                # terminal does not.
                start_new_session=True,
                pass_fds=self._descriptors,
            )
        worker.state, worker.pid, worker.beat_at, worker.replacement_requested = "starts", process.pid, None, False
        worker.started_at = self._clock.monotonic()
        self._bus.publish(WorkerStarted(worker=worker.number, pid=process.pid))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._read_heartbeats, worker, process)
                reason = await self._watch(worker, process)
                group.cancel_scope.cancel()
            await self._conclude(worker, process, reason)
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(process)

    async def _read_heartbeats(self, worker: SupervisedWorker, process: Process) -> None:
        if process.stdout is None:
            return
        while line := await process.stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that is not a heartbeat
                worker.activity = str(json.loads(line)["doing"])
                worker.state, worker.beat_at = "works", self._clock.monotonic()

    async def _watch(self, worker: SupervisedWorker, process: Process) -> WorkerExit:
        while process.returncode is None:
            worker.memory_mb = _memory_mb(process.pid)
            if reason := exit_reason(worker, self._limits(), self._clock.monotonic()):
                return reason
            await self._clock.sleep(_CHECK_SECONDS)
        return WorkerExit.BY_ITSELF

    async def _conclude(self, worker: SupervisedWorker, process: Process, reason: WorkerExit) -> None:
        fields = worker.number, process.pid, worker.activity
        if reason is WorkerExit.BY_ITSELF:
            self._bus.publish(WorkerLost(*fields, exit_code=process.returncode))
            return
        _signal_group(process, signal.SIGKILL)
        self._bus.publish(WorkerKilled(*fields, reason=reason.value, memory_mb=worker.memory_mb))
        await process.wait()

    async def _stop(self, process: Process) -> None:
        if process.returncode is None:
            _signal_group(process, signal.SIGTERM)
            with anyio.move_on_after(self._limits().stop_seconds):
                await process.wait()
        _signal_group(process, signal.SIGKILL)  # also children that outlived a worker which is gone
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _memory_mb(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss // _MEGABYTE)
    except psutil.Error:
        # The process has just ended; its exit code is noticed at the next check.
        return 0
