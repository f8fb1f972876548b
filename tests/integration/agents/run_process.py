"""A process of its own that works on the project's run until it ends, and says each event: to be killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from orchestration.app import application
from orchestration.errors import ConflictError
from orchestration.events import Event
from orchestration.rehearsal.samples import GOAL, TEST_COMMAND


def say(event: Event) -> None:
    print(event.kind, event.data.get("key") or event.data.get("agent_run_id") or "", flush=True)


async def main() -> None:
    config, workspace = sys.argv[1], Path(sys.argv[2])
    async with application(config) as app:
        app.bus.subscribe(say)
        runs = app.runs.list(limit=1)
        if not runs:
            run = await app.launcher.start(GOAL, workspace, options={"checks": [list(TEST_COMMAND)]})
        elif runs[0].status.ended:
            run = runs[0]
        else:
            run = runs[0]
            await app.launcher.resume(run.id)
        while not (await app.get_run(run.id)).status.ended:
            await asyncio.sleep(0.05)
        ended = await app.get_run(run.id)
        print(f"ended {ended.status} {ended.reason}", flush=True)


try:
    asyncio.run(main())
except ConflictError as error:
    sys.exit(str(error))
