"""A process of its own that works on the project's run and kills itself at each step at which no process has died yet.

Arguments: the configuration, the workspace, a file with the steps at which one has died, a seed, and how many of a
hundred steps to die at. The seed decides whether that is before a step's work is done, or after it but before its
record is written, which is where an effect would be repeated. What the engine records without work of ours, such as the
start of a child, its result or a mark, is died at afterwards. What is decided does not depend on the run's name, which
is another each time: the same seed dies at the same steps.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from dbos import DBOS

from orchestration.app import application
from orchestration.workflows.engine import Flow, flow

CONFIG, WORKSPACE, DIED, SEED, PERCENT = sys.argv[1:]
IDENTIFIER = re.compile(r"(run|check)-[0-9a-z]{14}")
GOAL = "write the two files and mend the third"


def dice(key: str, what: str) -> random.Random:
    """The dice that decide something about a step: those of the seed and the step, whatever the run is called."""
    return random.Random(f"{SEED}/{IDENTIFIER.sub('', key)}/{what}")


def die(key: str) -> None:
    """Die, unless a process has died there already."""
    died = Path(DIED)
    if key in died.read_text().splitlines():
        return
    if dice(key, "whether").randrange(100) >= int(PERCENT):
        return
    with died.open("a") as file:
        file.write(f"{key}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def key_of(name: str) -> str:
    return f"{DBOS.workflow_id}/{DBOS.step_id}/{name}"


portable, mark, start, result = flow._portable, Flow.mark, Flow.start, Flow.result


def fatal(step: Any) -> Callable[[], Awaitable[Any]]:
    """A step that kills the process before or after its work."""
    work = portable(step)

    async def wrapped() -> Any:
        key = key_of(step.name)
        late = dice(key, "when").random() < 0.6
        if not late:
            die(key)
        found = await work()
        if late:
            die(key)
        return found

    return wrapped


async def marked(self: Flow, name: str) -> bool:
    found = await mark(self, name)
    if found:
        die(f"{self.id}/mark/{name}")
    return found


async def started(self: Flow, kind: Any, child_id: str, payload: Any) -> Any:
    child = await start(self, kind, child_id, payload)
    die(f"{child_id}/started")
    return child


async def ended(self: Flow, child: Any) -> Any:
    found = await result(self, child)
    die(f"{child.id}/result")
    return found


async def main() -> None:
    flow._portable = fatal
    Flow.mark, Flow.start, Flow.result = marked, started, ended  # type: ignore[method-assign, assignment]
    async with application(CONFIG) as app:
        runs = app.runs.list(limit=1)
        if not runs:
            run = await app.launcher.start(GOAL, Path(WORKSPACE), options={"checks": [["sh", "-c", "cat one.txt"]]})
        else:
            (run,) = runs
            # One that died between the run's end and the record of that step has left nothing to be done.
            if not run.status.ended:
                await app.launcher.resume(run.id)
        if not run.status.ended:
            await app.engine.result(run.id)
        print((await app.get_run(run.id)).status, flush=True)


asyncio.run(main())
