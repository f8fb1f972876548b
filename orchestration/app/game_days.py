"""Game days: sets of drills that run on a schedule, in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestration.events import EventBus
from orchestration.events.drills import GameDayFinished

_EVERY = "all"


async def hold(config_file: Path, bus: EventBus, payload: Mapping[str, Any]) -> Any:
    """Run the drills of a schedule, as the console command does; their results are in the history of drills.

    The drills use projects and databases of their own. Returns how many ran and how many passed.
    """
    schedule = payload["schedule"]
    process = await asyncio.create_subprocess_exec(
        *command(str(config_file), schedule["name"], tuple(schedule["drills"])),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        # With --json, progress goes to standard error; a pipe that nobody reads would fill up and halt the drills.
        stderr=asyncio.subprocess.DEVNULL,
        # As for drill sessions: a Ctrl-C must not cut off the clearing away.
        start_new_session=True,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        # The flow can be cancelled, and drills must not run on without anyone to record them.
        if process.returncode is None:
            process.terminate()
            await process.wait()
    held, passed = _totals(printed)
    bus.publish(GameDayFinished(name=schedule["name"], at_time=payload["at"], held=held, passed=passed))
    return {"held": held, "passed": passed}


def command(config_file: str, name: str, drills: tuple[str, ...]) -> tuple[str, ...]:
    """The command that runs them."""
    chosen = ("--all",) if _EVERY in drills else drills
    return (
        *(sys.executable, "-m", "orchestration", "--config", config_file, "drill"),
        *(*chosen, "--game-day", name, "--json"),
    )


def _totals(printed: bytes) -> tuple[int, int]:
    try:
        total = json.loads(printed)["total"]
        return int(total["held"]), int(total["passed"])
    except (ValueError, KeyError, TypeError):  # it could not start, and its standard error is not read
        return 0, 0
