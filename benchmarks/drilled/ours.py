"""Our own drills of the same faults, through the console command."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.drilled.model import Fault, Outcome
from orchestration.drills.processes import DrillError, process_environment

NAME = "ours"
_ROOT = Path(__file__).resolve().parents[2]


async def hold(fault: Fault) -> Outcome:
    """`orchestrator drill NAME --json`. Raises DrillError when it says nothing that can be read."""
    with tempfile.TemporaryDirectory(prefix="ours-") as folder:
        config = Path(folder, "config", "agents.config.json")
        config.parent.mkdir()
        shutil.copy(_ROOT / "config" / "agents.config.json", config)
        command = (sys.executable, "-m", "orchestration", "--config", str(config), "drill", fault.name, "--json")
        child = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=process_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            printed, said = await child.communicate()
        finally:
            if child.returncode is None:  # it is told to end, so that it ends what it has started
                child.terminate()
                await child.wait()
    try:
        (figures,) = json.loads(printed)["drills"]
    except ValueError as error:
        raise DrillError(f"expected a drill's figures, got: {said.decode(errors='replace')[-500:]}") from error
    return outcome(fault, figures)


def outcome(fault: Fault, figures: dict[str, Any]) -> Outcome:
    """A drill's figures in the table's terms. Pure."""
    return Outcome(
        contender=NAME,
        version=version("agent-orchestration"),
        fault=fault.name,
        detected=figures.get("detected_after"),
        sign=f"incident {figures['severity']}" if "severity" in figures else figures["ending"],
        resolved=figures.get("resolved_after"),
        finished=figures["run"].startswith("succeeded"),
        lost=figures["steps_lost"],
        repeated=figures["steps_repeated"],
        calls_repeated=figures["model_calls_repeated"],
        notes=tuple(f"not as expected: {miss}" for miss in figures["misses"]),
        person=_person(figures),
    )


def _person(figures: dict[str, Any]) -> str:
    level, asked = figures.get("level_called"), figures.get("approval_asked_for")
    called = f"is called (level {level})" if level else ""
    return ", ".join(one for one in (called, f"approve {', '.join(asked)}" if asked else "") if one) or "nothing"
