"""The `invoke` tasks as the playbook writes them, in what looks like a fresh clone where no provider runs."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support import prefork
from tests.support.console import REPOSITORY, environment, free_port
from tests.support.patience import patient

_AGENTS = ("run-planner", "run-executor", "run-reviewer", "run-parallel")


def clone(folder: Path) -> Path:
    folder.mkdir()
    shutil.copytree(REPOSITORY / "config", folder / "config")
    shutil.copy(REPOSITORY / "tasks.py", folder)
    file = folder / "config" / "agents.config.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["runtime"]["ollama"]["host"] = f"http://127.0.0.1:{free_port()}"  # another's Ollama may run here
    file.write_text(json.dumps(document), encoding="utf-8")
    return folder


def invoke(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "invoke", *arguments)
    done = prefork.call(command, seconds=patient(110), cwd=folder, env=environment())
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_without_a_goal_and_without_a_failure_no_task_begins_anything(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    idle = invoke(folder, "coordinator-run")
    assert (idle.returncode, "No run is unfinished or has failed" in idle.stdout) == (0, True), idle
    for name in _AGENTS:
        answer = invoke(folder, name)
        assert (answer.returncode, "give a goal: orchestrator agents run " in answer.stderr) == (2, True), (
            name,
            answer,
        )
    with closing(sqlite3.connect(folder / "var" / "orchestrator.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_without_a_provider_every_agent_stops_resumably_and_says_what_to_start(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (folder / "goal.md").write_text("x is odd")
    answer = invoke(folder, "run-parallel", "--goal-file=goal.md")
    assert answer.returncode == 1, answer
    assert "start it with: ollama serve" in answer.stdout
    assert "orchestrator runs resume run-" in answer.stdout
    assert "rehearsal" not in answer.stdout
    assert "Traceback" not in answer.stderr
    assert answer.stdout.count(": stopped: ") == 3


def test_with_a_provider_by_name_a_goal_and_a_workspace_are_worked_on(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    (folder / "work").mkdir()
    answer = invoke(folder, "coordinator-run", "--goal=-x is odd", "--workspace=work", "--provider=rehearsal")
    assert answer.returncode == 0, answer
    assert "answered by the rehearsal provider, not by a real model" in answer.stdout
    assert f"workspace  {folder / 'work'}" in answer.stdout


def test_the_demo_and_the_configuration_check_work_as_typed(tmp_path: Path) -> None:
    folder = clone(tmp_path / "clone")
    checked = invoke(folder, "validate-config")
    assert (checked.returncode, "can be used: 0 errors" in checked.stdout) == (0, True)
    demo = invoke(folder, "demo")
    assert demo.returncode == 0, demo
    told = iter(demo.stdout.splitlines())
    for expected in (
        ">> the goal: Work off docs/backlog.md",
        ">> kill -9: the provider 'primary' dies",
        "INCIDENT P2: Provider primary is unavailable",
        "action provider.route: calls go to second first",
        "RESOLVED",
        "what happened",
        ", 0 lost, 0 repeated",
        "look around",
    ):
        assert any(expected in line for line in told), (expected, demo.stdout)
    shown = next(line for line in told if "incidents show latest" in line)
    command = [sys.executable, "-m", "orchestration", *shlex.split(shown)[1:], "--json"]
    incident = json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    assert (incident["status"], incident["drill"]) == ("resolved", True)


def test_the_tests_can_be_run_in_part(tmp_path: Path) -> None:
    assert invoke(clone(tmp_path / "clone"), "test", "--only=--version").returncode == 0
