"""A process of its own that does with runs what it reads from its input, and says how they end: to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import anyio.to_thread

from orchestration.app import application
from orchestration.events import Event
from orchestration.events.runs import RunFinished


def say(event: Event) -> None:
    if isinstance(event.payload, RunFinished):
        print(event.payload.status, flush=True)


async def main() -> None:
    config, workspace = sys.argv[1], Path(sys.argv[2])
    async with application(config) as app:
        app.bus.subscribe(say)
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            command, _, run_id = line.strip().partition(" ")
            if run_id and (await app.get_run(run_id)).status.ended:
                # The outcome is said a moment before the flow has ended; until then the run cannot be resumed.
                await app.engine.result(run_id)
            if command == "start":
                run = await app.launcher.start("mend it", workspace, agent="executor")
            elif command == "fork":
                run = await app.launcher.fork(run_id)
            else:
                run = await app.launcher.resume(run_id)
            print(run.id, flush=True)


asyncio.run(main())
