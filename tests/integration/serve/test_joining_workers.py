"""`orchestrator worker`: it joins by the database, serves its labels, and drains."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import prefork
from tests.support.console import COMMAND, ConsoleProject, environment, stop, wait_for_line
from tests.support.patience import patient, until

SLOW = ["sh", "-c", "touch begun; while test ! -e go; do echo waits; sleep 0.1; done; echo done"]
_LEASES = "SELECT data FROM leases WHERE name LIKE 'executor/%'"


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    project = ConsoleProject(tmp_path / "project")
    project.document["agents"] = [
        {"id": "boxed", "entryPoint": SLOW, "runsOn": "box", "outputs": ["boxed.md"]},
        {"id": "free", "entryPoint": ["echo", "free"], "outputs": ["free.md"]},
    ]
    project.document["workflow"] = []
    project.write()
    assert project.call("worker", "--list", "--json").json() == []
    return project


def leases(project: ConsoleProject) -> list[dict[str, Any]]:
    return [json.loads(data) for (data,) in project.records(_LEASES)]


def queue(project: ConsoleProject) -> str:
    said = project.call("run", "--queue", "--json", "--workspace", "work", "--agent", "boxed", "do it")
    return str(said.json()["id"])


def test_a_worker_serves_its_labels_and_finishes_what_it_has_begun(project: ConsoleProject) -> None:
    work = project.workspace
    options = ("--name", "one", "--label", "box", "--only-labels", "--capacity", "2")
    with project.started("worker", *options) as boxed, project.started("worker", "--name", "two"):
        until(lambda: len(leases(project)) == 2, 30)
        one, two = sorted(project.call("worker", "--list", "--json").json(), key=lambda worker: str(worker["worker"]))
        assert (one["labels"], one["agents"], one["capacity"], one["state"]) == (["box"], ["boxed"], 2, "works")
        assert (two["worker"], two["agents"]) == ("two", ["free"])
        run = queue(project)
        until((work / "begun").exists, 30)
        # Asked to stop, it goes on with what it has begun, and takes nothing more.
        boxed.send_signal(signal.SIGTERM)
        until(lambda: any(lease["draining"] for lease in leases(project)), 15)
        (work / "go").touch()
        assert boxed.wait(patient(30)) == 0
        until(lambda: project.status(run) == "succeeded", 30)


def test_an_agent_without_a_worker_says_what_it_waits_for_until_there_is_one(project: ConsoleProject) -> None:
    activity = "SELECT phase, activity FROM heartbeats"
    waits = 'waits for a worker with the label "box"'
    work = project.workspace
    with project.started("run", "--workspace", "work", "--agent", "boxed", "do it") as console:
        said = wait_for_line(console, waits)[-1]
        assert "start one: orchestrator worker --label box" in said
        until(lambda: project.records(activity) == [("unplaced", f"{waits}; none is running")], 20)
        assert 'No worker has the label "box", so boxed would wait.' in project.call("worker", "--list").out
        (found,) = [one for one in project.call("doctor", "--json").json()["checks"] if one["subject"] == "label box"]
        assert (found["health"], found["advice"]) == ("warning", "start one: orchestrator worker --label box")
        with project.started("worker", "--name", "late", "--label", "box") as worker:
            until((work / "begun").exists, 40)
            (work / "go").touch()
            assert console.wait(patient(40)) == 0
            assert "No worker" not in project.call("worker", "--list").out
            stop(worker, seconds=30)
    kinds = [kind for (kind,) in project.records("SELECT kind FROM events ORDER BY sequence")]
    assert kinds.count("agent.unplaced") == 1
    assert kinds.index("agent.unplaced") < kinds.index("agent.started")


def test_what_a_worker_cannot_finish_is_handed_back(project: ConsoleProject) -> None:
    work = project.workspace
    with project.started("worker", "--name", "one", "--label", "box", "--drain", "0.5") as first:
        until(lambda: leases(project), 30)
        run = queue(project)
        until((work / "begun").exists, 30)
        first.send_signal(signal.SIGTERM)
        assert first.wait(patient(30)) == 0
    (work / "go").touch()
    with project.started("worker", "--name", "two", "--label", "box"):
        until(lambda: project.status(run) == "succeeded", 40)


def test_a_worker_in_an_empty_folder_gets_its_project_from_the_database(
    project: ConsoleProject, tmp_path: Path, postgres_url: str
) -> None:
    project.document["runtime"]["databaseUrlEnv"] = "AGENTS_DATABASE"
    project.write()
    (project.root / ".env").write_text(f"AGENTS_DATABASE={postgres_url}\n")
    assert project.call("worker", "--list", "--json").json() == []
    (project.workspace / "go").touch()
    run = queue(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    variables = environment({"ORCHESTRATOR_DATABASE_URL": postgres_url})
    command = (*COMMAND, "worker", "--name", "far", "--label", "box")
    with prefork.Program(command, cwd=elsewhere, env=variables, stdout=subprocess.DEVNULL) as far:
        try:
            until(lambda: project.run(run)["status"] == "succeeded", 60)
            (listed,) = project.call("worker", "--list", "--json").json()
            assert (listed["worker"], listed["labels"]) == ("far", ["box"])
        finally:
            far.send_signal(signal.SIGTERM)
            assert far.wait(patient(30)) == 0
    written = json.loads((elsewhere / "config" / "agents.config.json").read_text())
    assert written["agents"] == project.document["agents"]
    assert "postgresql" not in json.dumps(written)


def test_a_worker_without_a_project_says_what_it_needs(tmp_path: Path) -> None:
    done = prefork.call((*COMMAND, "worker"), cwd=tmp_path, env=environment(), seconds=patient(30))
    assert done.returncode == 2
    assert b"ORCHESTRATOR_DATABASE_URL" in done.stderr
