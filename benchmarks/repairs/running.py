"""One task in a git repository of its own, and the judgement of what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.repairs.model import Counted, RepairModel, Way
from benchmarks.repairs.tasks import Task, broken_files, project_files
from benchmarks.slips.wire import ModelServer

_SECONDS = 300
_SHIPPED = json.loads((Path(__file__).parents[2] / "config" / "agents.config.json").read_text(encoding="utf-8"))
_PLAIN_TOOLS = ("read_file", "list_files", "write_file", "run_command")
_AUTHOR = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")


@dataclass(frozen=True, slots=True)
class Result:
    """One run. `right`: the repository has every file as it should be, no other one was changed, and its tests pass
    after they failed before."""

    language: str
    name: str
    way: Way
    right: bool
    reason: str
    seconds: float
    counted: Counted


def repair(task: Task, way: Way) -> Result:
    """Do one task by the console command, and bring the changes from the run's worktree into the repository."""
    with tempfile.TemporaryDirectory(prefix="repairs-") as name:
        root, repository = Path(name), Path(name, "repository")
        make_repository(repository, broken_files(task))
        before = passes(task, repository)
        model = RepairModel(task, way)
        server = ModelServer(model.answer)
        started = time.monotonic()
        try:
            reason = _run(task, way, root, repository, server.url)
        finally:
            server.close()
        seconds = time.monotonic() - started
        reason = reason or ("the tests passed before" if before else _fault(task, repository))
        return Result(task.language, task.name, way, not reason, reason, seconds, model.counted)


def make_repository(folder: Path, files: Mapping[str, str]) -> None:
    """A git repository with these files in its only commit."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    for command in (("init", "--quiet"), ("add", "--all"), (*_AUTHOR, "commit", "--quiet", "-m", "Begin")):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)


def passes(task: Task, folder: Path) -> bool:
    """Whether the project's tests pass in a folder."""
    done = subprocess.run(task.command, cwd=folder, capture_output=True, check=False, timeout=_SECONDS)
    return done.returncode == 0


def _run(task: Task, way: Way, root: Path, repository: Path, url: str) -> str:
    """Run the agents and apply what they have changed; returns what went wrong."""
    config = root / "config" / "agents.config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(_configuration(way, url)), encoding="utf-8")
    given = (
        "run",
        "--json",
        "--patience",
        "3",
        "--workspace",
        str(repository),
        "--",
        f"{task.goal} Change nothing else.",
    )
    done = _orchestrate(config, given, root)
    if not done.stdout.strip():
        return f"no result: {done.stderr[-300:]}"
    run = json.loads(done.stdout)[0]
    if run["status"] != "succeeded":
        return f"the run ended as {run['status']}: {run.get('reason', '')}"
    applied = _orchestrate(config, ("runs", "apply", "--json", run["id"]), root)
    return "" if applied.returncode == 0 else f"not applied: {(applied.stderr or applied.stdout)[-300:]}"


def _orchestrate(config: Path, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestration", "--config", str(config), *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
        env={**os.environ, "SCRIPTED_KEY": "none"},
        cwd=folder,
    )


def _configuration(way: Way, url: str) -> dict[str, Any]:
    """The shipped agents; with plain tools, each has only those of its own that are plain."""
    provider = {"enabled": True, "baseUrl": url, "defaultModel": "scripted", "apiKeyEnv": "SCRIPTED_KEY"}
    agents = _SHIPPED["agents"]
    if way is Way.PLAIN:
        agents = [{**agent, "tools": [tool for tool in agent["tools"] if tool in _PLAIN_TOOLS]} for agent in agents]
    runtime = {"defaultProvider": "openai", "openai": provider}
    return {"runtime": runtime, "agents": agents, "workflow": _SHIPPED["workflow"]}


def _fault(task: Task, repository: Path) -> str:
    """What is wrong with a repaired repository; an empty text if nothing is."""
    wanted = project_files(task.language)
    wrong = [path for path, text in wanted.items() if (repository / path).read_text(encoding="utf-8") != text]
    listed = ["git", "status", "--porcelain", "--untracked-files=all"]
    status = subprocess.run(listed, cwd=repository, capture_output=True, text=True, check=True).stdout
    changed = {line[3:] for line in status.splitlines()}
    if wrong or changed != set(task.files):
        return f"not as it should be: {wrong}; changed: {sorted(changed)}"
    return "" if passes(task, repository) else "the tests fail"
