"""`orchestrator serve` as a whole: real workers, killed and stopped in every way, and what becomes of their runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import prefork
from tests.support.console import (
    ConsoleProject,
    Family,
    command_line,
    environment,
    free_port,
    is_there,
    stop,
    wait_for_line,
)
from tests.support.patience import Stopwatch, until


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    """A project whose provider does not run yet: a run waits for it, in the hands of a worker."""
    port = free_port()
    own = {
        "type": "openai",
        "baseUrl": f"http://127.0.0.1:{port}/v1",
        "defaultModel": "rehearsal",
        "breaker": {"probeAfter": 0.2, "probeAtMost": 0.3},
    }
    return ConsoleProject(
        tmp_path / "project",
        defaultProvider="own",
        own=own,
        workers=1,
        workerHeartbeatSeconds=6,
        workerStopSeconds=5,
    )


@contextmanager
def provider(project: ConsoleProject) -> Iterator[None]:
    """Start the project's provider for as long as the block lasts."""
    port = project.document["runtime"]["own"]["baseUrl"].rpartition(":")[2].removesuffix("/v1")
    command = (sys.executable, "-m", "orchestration.rehearsal", "--port", port)
    with prefork.Program(command, env=environment(), stdout=subprocess.PIPE) as process:
        try:
            yield
        finally:
            process.terminate()


def queued(project: ConsoleProject, *arguments: str) -> str:
    run_id: str = project.call("run", "note it", "--workspace", "work", "--queue", "--json", *arguments).json()["id"]
    return run_id


def the_worker(family: Family, doing: str = "") -> psutil.Process:
    """The worker that shows in the list of processes that it does this."""
    found: psutil.Process = until(lambda: next((one for one in family.workers() if doing in command_line(one)), None))
    return found


def test_a_run_outlives_its_worker_and_its_provider_and_the_list_of_processes_shows_it(project: ConsoleProject) -> None:
    run_id = queued(project)
    # Started as users start it, so that this is the real list of processes.
    with project.started("serve", start=subprocess.Popen) as serve:
        family = Family(serve.pid)
        worker = the_worker(family, f"--runs=planner of {run_id} (waits for a provider)")
        assert "python" in command_line(worker)
        assert "-m orchestration.agents.worker" in command_line(worker)
        assert until(lambda: project.status(run_id) == "waiting")

        worker.send_signal(signal.SIGSTOP)
        wait_for_line(serve, "was killed: no-heartbeat")
        assert until(lambda: not is_there(worker))  # it is killed first and reaped then
        second = the_worker(family, run_id)
        second.kill()
        wait_for_line(serve, "ended by itself with exit code -9")
        the_worker(family, run_id)

        with provider(project):
            assert until(lambda: project.status(run_id) == "succeeded")
        assert stop(serve).splitlines()[-1] == "stopped"
        assert serve.returncode == 0
        assert family.look() == []
    kinds = [event["kind"] for event in project.run(run_id)["events"]]
    assert kinds.count("run.created") == kinds.count("run.started") == kinds.count("run.finished") == 1


def test_told_to_stop_it_leaves_its_runs_resumable_and_the_next_goes_on_with_them(project: ConsoleProject) -> None:
    with project.started("serve", "--workers", "2") as serve:
        run_id = queued(project)
        until(lambda: project.status(run_id) == "waiting")
        told = "SELECT data FROM leases WHERE name LIKE 'control/%'"
        until(lambda: run_id in str(project.records(told)))
        overview = project.call("status", "--json").json()
        (control,) = overview["control"]
        assert [worker["state"] for worker in control["workers"]] == ["works", "works"]
        assert any(run_id in worker["doing"] for worker in control["workers"])
        assert [route["provider"] for route in overview["providers"]] == ["own"]
        begun = Stopwatch()
        stop(serve, signal.SIGINT)
        assert begun.is_within(30), begun
    run = project.run(run_id)
    assert (run["status"], "its worker was stopped" in run["reason"]) == ("stopped", True)
    assert project.call("status", "--json").json()["processes"] == []
    with provider(project), project.started("serve"):
        assert until(lambda: project.status(run_id) == "succeeded")


def test_workers_do_not_outlive_a_control_process_that_is_killed(project: ConsoleProject) -> None:
    with project.started("serve", "--workers", "2") as serve:
        run_id, family = queued(project), Family(serve.pid)
        the_worker(family, run_id)
        assert len(family.workers()) == 2
        serve.kill()
        assert until(lambda: family.look() == [], seconds=8)
    with provider(project):
        resumed = project.call("coordinate", "--json").json()
        assert [(run["id"], run["status"]) for run in resumed] == [(run_id, "succeeded")]


def test_with_workers_about_a_run_is_handed_over_and_followed(project: ConsoleProject) -> None:
    with provider(project), project.started("serve") as serve:
        wait_for_line(serve, "started")
        until(lambda: shared_processes(project))
        answer = project.call("run", "note it", "--workspace", "work")
        assert answer.code == 0, answer
        assert "a worker of `orchestrator serve` works on it" in answer.out
        assert "planner: done in" in answer.out
        assert "reviewer: done in" in answer.out


def test_looking_on_can_end_while_the_worker_goes_on(project: ConsoleProject) -> None:
    with project.started("serve") as serve:
        wait_for_line(serve, "started")
        until(lambda: shared_processes(project))
        impatient = project.call("run", "note it", "--workspace", "work", "--patience", "0.5", "--json")
        (run,) = impatient.json()
        assert (impatient.code, run["status"]) == (1, "waiting")
        with project.started("coordinate", "--patience", "60") as looking:
            wait_for_line(looking, "a worker of `orchestrator serve` works on it")
            said = stop(looking, signal.SIGINT)
        assert looking.returncode == 130
        assert f"orchestrator runs cancel {run['id']}" in said
        assert project.status(run["id"]) == "waiting"
        assert project.call("runs", "cancel", run["id"]).code == 0
        assert project.status(run["id"]) == "cancelled"
        family = Family(serve.pid)
        until(lambda: all(run["id"] not in command_line(one) for one in family.workers()))


def test_a_rehearsal_that_is_queued_is_answered_by_the_workers_own(project: ConsoleProject) -> None:
    run_id = queued(project, "--provider", "rehearsal")
    with project.started("serve"):
        assert until(lambda: project.status(run_id) == "succeeded")
    assert project.run(run_id)["outcome"]["use"]["rehearsal"] is True


def test_the_calendar_starts_runs_once_however_many_keep_it_and_follows_edits_at_once(project: ConsoleProject) -> None:
    schedule = {
        "name": "often",
        "cron": "* * * * * *",
        "goal": "note it",
        "workspace": "work",
        "agent": "planner",
        "provider": "rehearsal",
    }

    def planned() -> list[Any]:
        return [origin for (origin,) in project.records("SELECT origin FROM runs")]

    with project.started("serve") as first, project.started("serve") as second:
        wait_for_line(first, "started")
        wait_for_line(second, "started")
        assert planned() == []
        project.document["schedules"] = [schedule]
        project.write()
        until(lambda: len(planned()) >= 3)
        project.document["schedules"] = [{**schedule, "name": "other", "workspace": "nowhere"}]
        project.write()
        until(lambda: any("schedule.refused" in line for line in log(project)))
        origins = planned()
        assert len(set(origins)) == len(origins)
        assert all(origin.startswith("schedule often at 20") and origin.endswith("Z") for origin in origins)
        stop(first)
        stop(second)
    before = planned()
    assert project.call("run", "note it", "--workspace", "work", "--provider", "rehearsal").code == 0
    assert len(planned()) == len(before) + 1, "nobody serves, so no time starts a run"


def shared_processes(project: ConsoleProject) -> list[Any]:
    """The leases of processes that take whatever run waits."""
    leases = project.records("SELECT data FROM leases WHERE name LIKE 'executor/%'")
    return [data for (data,) in leases if json.loads(data)["shared"]]


def log(project: ConsoleProject) -> list[str]:
    lines = (project.root / "logs" / "orchestrator.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(json.loads(line)["event"]) for line in lines]
