"""Ourselves: each run by the console command, in a project of its own with the shipped agents and workflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.slips import competent
from benchmarks.slips.behaviours import Behaviour
from benchmarks.slips.holding import Assignment, Ending

_SECONDS = 120
# The shipped agents and workflow, so that what is measured is what a new project gets.
_SHIPPED = json.loads((Path(__file__).parents[2] / "config" / "agents.config.json").read_text(encoding="utf-8"))


class Ours:
    """The console command."""

    name = "ours"

    @property
    def version(self) -> str:
        return version("agent-orchestration")

    def close(self) -> None:
        """There is nothing to end: each run has been a process of its own."""

    def run(self, assignment: Assignment) -> Ending:
        """One `orchestrator run`."""
        root, behaviour = assignment.root, assignment.behaviour
        config = root / "config" / "agents.config.json"
        config.parent.mkdir()
        config.write_text(json.dumps(_configuration(behaviour, assignment.url)), encoding="utf-8")
        agent = ("--agent", behaviour.agent) if behaviour.agent else ()
        goal = competent.TEXT_GOAL if behaviour.agent else competent.GOAL
        command = [sys.executable, "-m", "orchestration", "--config", str(config), "run", "--json", "--patience", "3"]
        done = subprocess.run(
            [*command, "--workspace", str(assignment.workspace), *agent, "--", goal],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "SCRIPTED_KEY": "none"},
            cwd=root,
        )
        if "Traceback" in done.stderr or not done.stdout.strip():
            return Ending(crashed=True, reason=done.stderr[-300:])
        run = json.loads(done.stdout)[0]
        texts = tuple(file.read_text(encoding="utf-8") for file in root.glob("artifacts/*/*.md"))
        return Ending(run["status"] == "succeeded", reason=str(run.get("reason", "")), texts=texts)


def _configuration(behaviour: Behaviour, url: str) -> dict[str, Any]:
    provider = {"enabled": True, "baseUrl": url, "defaultModel": "scripted", "apiKeyEnv": "SCRIPTED_KEY"}
    runtime = {"defaultProvider": "openai", "openai": provider}
    if behaviour.agent:
        return {"runtime": runtime, "agents": [{"id": behaviour.agent, "role": "worker", "tools": ["read_file"]}]}
    return {"runtime": runtime, "agents": _SHIPPED["agents"], "workflow": _SHIPPED["workflow"]}
