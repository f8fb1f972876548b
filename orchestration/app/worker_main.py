"""What a worker does: take whatever run waits, until it is told to stop or its supervisor is gone.

Its standard input is the supervisor's hand: when that closes, the supervisor has died. Its standard output carries
heartbeats, a line of JSON a second, written by the same event loop that carries out the runs: a loop that hangs falls
silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from functools import partial

import anyio

from orchestration.agents import process_title
from orchestration.app.activity import ProcessActivity
from orchestration.app.application import Application, application
from orchestration.config.schema import Configuration
from orchestration.errors import OrchestratorError
from orchestration.playbooks.ids import is_response

ENTRY_POINT = "orchestration.app.worker_main:main"
BEAT_SECONDS = 1.0
_NOTING_SECONDS = 2.0


def main(config_file: str) -> int:
    """Work until told to stop; returns the exit code."""
    heartbeats = os.dup(1)
    os.dup2(2, 1)  # what a library prints goes where errors go
    os.set_blocking(heartbeats, False)
    try:
        return anyio.run(partial(_work, config_file, heartbeats))
    except OrchestratorError as error:
        sys.stderr.write(f"worker: {error}\n")
        return 2


async def _work(config_file: str, heartbeats: int) -> int:
    stop, doing = anyio.Event(), ProcessActivity()
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with application(config_file, shared=True) as app, anyio.create_task_group() as group:
            app.bus.subscribe(doing.take)

            def reconfigure(_: Configuration) -> None:
                group.start_soon(app.prepare_rehearsal)

            app.store.subscribe(reconfigure)
            _watch_supervisor(stop, app.configuration.runtime.worker_stop_seconds)
            await app.prepare_rehearsal()
            group.start_soon(_heed, signals, stop)
            group.start_soon(_beat, doing, heartbeats)
            group.start_soon(app.keep_recovering, lambda flow_id: not is_response(flow_id))
            await stop.wait()
            await _note_runs(app, doing)
            group.cancel_scope.cancel()
    return 0


async def _note_runs(app: Application, doing: ProcessActivity) -> None:
    """Let the records say that the runs in hand stand still, unless the database is in no state for that."""
    with anyio.move_on_after(_NOTING_SECONDS):
        mine = [run_id for run_id in sorted(doing.runs) if not await app.is_elsewhere(run_id)]
        await app.stop_runs(mine, "its worker was stopped; the next one goes on with it")


async def _heed(signals: AsyncIterator[signal.Signals], stop: anyio.Event) -> None:
    async for _ in signals:
        stop.set()


async def _beat(doing: ProcessActivity, heartbeats: int) -> None:
    while True:
        said = str(doing)
        process_title.show(said)
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # a supervisor that does not listen, or is gone
            os.write(heartbeats, json.dumps({"doing": said}).encode() + b"\n")
        await anyio.sleep(BEAT_SECONDS)


def _watch_supervisor(stop: anyio.Event, grace: float) -> None:
    """See from a thread whether the supervisor is gone: then stop, and do not let a loop that hangs prevent it."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 1024):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(stop.set)
        threading.Event().wait(grace)
        os._exit(1)

    threading.Thread(target=wait, name="supervisor-watch", daemon=True).start()
