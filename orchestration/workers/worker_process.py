"""The life of a worker process: work on any run that waits, until asked to stop or the supervisor is gone.

Its standard input comes from the supervisor: when that is closed, the supervisor has died. Its standard output carries
heartbeats, one line of JSON a second, written by the same event loop that works on the runs: a loop that hangs stops
writing them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from orchestration.agents import process_title
from orchestration.events import EventBus
from orchestration.workers.activity import ProcessActivity

_HEARTBEAT_SECONDS = 1.0
# The supervisor kills a worker that does not end in time. A database that is down must not use that time up.
_MARK_STOPPED_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class WorkerServices:
    """What a worker needs of the application that it runs.

    `work` goes on until it is cancelled; `mark_stopped` marks those of the given runs that no other process works on. A
    worker whose loop hangs ends by force `stop_seconds` after its supervisor. `drain` takes on nothing more, and
    returns when nothing is left to do or its time is up. `describe` says what it does, instead of its agents.
    """

    bus: EventBus
    work: Callable[[], Coroutine[Any, Any, None]]
    mark_stopped: Callable[[Iterable[str]], Awaitable[None]]
    stop_seconds: float
    drain: Callable[[], Awaitable[None]] | None = None
    describe: Callable[[], str] | None = None


class WorkerProcess:
    """A worker process. `heartbeats` is the file descriptor to write heartbeats to."""

    def __init__(self, services: AbstractAsyncContextManager[WorkerServices], heartbeats: int) -> None:
        self._services = services
        self._heartbeats = heartbeats
        self._activity = ProcessActivity()

    async def run(self) -> None:
        """Work until asked to stop."""
        stop = anyio.Event()
        # The signals are received before anything is built: a stop during the start must not kill half a process.
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with self._services as services, anyio.create_task_group() as group:
                services.bus.subscribe(self._activity.on_event)
                _watch_supervisor(stop, services.stop_seconds)
                group.start_soon(_set_on_signal, signals, stop)
                group.start_soon(self._send_heartbeats, services.describe or partial(str, self._activity))
                work = anyio.CancelScope()
                group.start_soon(_within, work, services.work)
                await stop.wait()
                work.cancel()
                if services.drain is not None:
                    await services.drain()
                with anyio.move_on_after(_MARK_STOPPED_SECONDS):
                    await services.mark_stopped(sorted(self._activity.runs))
                group.cancel_scope.cancel()

    async def _send_heartbeats(self, describe: Callable[[], str]) -> None:
        while True:
            text = describe()
            process_title.show(text)
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # a supervisor that does not read, or is gone
                os.write(self._heartbeats, json.dumps({"doing": text}).encode() + b"\n")
            await anyio.sleep(_HEARTBEAT_SECONDS)


def claim_standard_output() -> int:
    """Take standard output for heartbeats: what a library prints goes to standard error from now on. Returns the file
    descriptor; writing to it never blocks, so a supervisor that does not read cannot halt the loop."""
    heartbeats = os.dup(1)
    os.dup2(2, 1)
    os.set_blocking(heartbeats, False)
    return heartbeats


async def _within(scope: anyio.CancelScope, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with scope:
        await work()


async def _set_on_signal(signals: AsyncIterator[signal.Signals], stop: anyio.Event) -> None:
    async for _ in signals:
        stop.set()


def _watch_supervisor(stop: anyio.Event, grace: float) -> None:
    """Set `stop` when the supervisor is gone, and end the process by force after the grace time. This is a thread
    because a loop that hangs, with nobody left to kill it, would live for ever."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 1024):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(stop.set)
        threading.Event().wait(grace)
        os._exit(1)

    threading.Thread(target=wait, name="supervisor-watch", daemon=True).start()
