"""Workers and the control process are killed again and again while runs are under way: nothing is lost, and dashboard
and API tell the truth afterwards."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from orchestration.rehearsal import samples
from tests.support.console import Family, free_port, is_there
from tests.support.engine_rows import committed_steps
from tests.support.patience import patient, until
from tests.support.project import Command, ProjectFolder, a_project, provider_at
from tests.support.rehearsal import RehearsalProcess

RUNS, WORKERS, KILLS = 3, 2, 6
_SEED = 20_261_125
_INCIDENTS = "/incidents?limit=500"
_AWAY = (httpx2.HTTPError, OSError)


class Served:
    """`orchestrator serve` on a port of its own, as often as it is started, and what it has acknowledged."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.accepted: dict[str, list[str]] = {}
        self.family: dict[int, psutil.Process] = {}
        self.command: Command | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.command = self.project.start("serve", "--port", str(self.port), "--no-sign-in")
        self.command.wait_for("Ctrl-C stops it", seconds=90)

    def kill(self) -> None:
        """What `kill -9` does to the control process alone."""
        assert self.command is not None
        self.command.kill()

    def workers(self) -> list[psutil.Process]:
        """The workers that are there now."""
        assert self.command is not None
        found = Family(self.command.process.pid).workers()
        self.family |= {one.pid: one for one in found}
        return found

    def get(self, path: str) -> Any:
        with httpx2.Client(base_url=self.url, timeout=patient(30)) as client:
            answer = client.get(f"/api/v1{path}")
            assert answer.status_code == 200, answer.text
            return answer.json()

    def ask(self, path: str, body: Any, key: str, field: str = "") -> str:
        """Have something made, with a key, until it is acknowledged; returns its identifier.

        The server may be killed between the moment when it claims the key and its answer. It says so later (409), and
        that nobody but the caller can know whether it was done: then it is looked for by a field of the request, and
        asked for with a new key where it is not there. Without a field nobody minds whether it was done.
        """
        while True:
            with contextlib.suppress(*_AWAY), httpx2.Client(base_url=self.url, timeout=patient(30)) as client:
                answer = client.post(f"/api/v1{path}", json=body, headers={"Idempotency-Key": key})
                if answer.status_code == 201:
                    made = str(answer.json()["id"])
                    self.accepted.setdefault(path, []).append(made)
                    return made
                if answer.status_code == 409:
                    if not field or body[field] in {one[field] for one in self.get(path)["items"]}:
                        return ""
                    key += "-again"
            time.sleep(0.05)


class Listener(threading.Thread):
    """Follows the event stream for as long as it is wanted, and goes on behind the last one that it has heard."""

    def __init__(self, served: Served) -> None:
        super().__init__(name="listener", daemon=True)
        self._served = served
        self.heard: list[int] = []
        self.connections = 0
        self.wanted = True

    def run(self) -> None:
        while self.wanted:
            with contextlib.suppress(*_AWAY), httpx2.Client(base_url=self._served.url, timeout=patient(30)) as client:
                self._follow(client)
            time.sleep(0.05)

    def _follow(self, client: httpx2.Client) -> None:
        headers = {"Last-Event-ID": str(self.heard[-1] if self.heard else 0)}
        with client.stream("GET", "/api/v1/events", headers=headers) as answer:
            self.connections += 1
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    self.heard.append(int(line[4:]))
                if not self.wanted:
                    return


@pytest.fixture
def served(provider: RehearsalProcess, tmp_path: Path) -> Iterator[Served]:
    providers = {"first": provider_at(provider.url, auth="none")}
    with a_project(tmp_path / "p", providers, workers=WORKERS, workerHeartbeatSeconds=6) as project:
        made = Served(project)
        made.start()
        yield made
        left = [one for one in made.family.values() if one.is_running()]
    psutil.wait_procs(left, timeout=patient(10))


def ask_for_runs(served: Served) -> None:
    """Runs on workspaces of their own, and between them what else is answered with 201."""
    for number in range(RUNS):
        sample = samples.copy_to(served.project.root / f"work-{number}")
        body = {"goal": sample.goal, "workspace": str(sample.workspace), "checks": [list(sample.test_command)]}
        served.ask("/runs", body, f"run-{number}", "workspace")
        silence = {"matchers": [f'agent="nobody-{number}"'], "seconds": 3600, "comment": "a test"}
        served.ask("/silences", silence, f"silence-{number}")
        change = {"kind": "limit_provider", "target": "first", "concurrency": 7 - number}
        served.ask("/overrides", {"change": change, "reason": "a test", "seconds": 3600}, f"override-{number}")


def kill_at_random(served: Served, listener: Listener, dice: random.Random) -> int:
    """Kill workers and the control process; returns how many were killed."""
    killed = starts = 0
    for number in range(KILLS):
        time.sleep(dice.uniform(0.2, 1.2))
        if number % 3 == 2:
            served.workers()  # so that they are known
            # On a busy machine the stream may not be back yet since the last kill; each is to cut it off.
            starts += 1
            until(lambda: listener.connections >= starts)  # noqa: B023 (waited for at once)
            served.kill()
            served.start()
            killed += 1 + WORKERS
        elif workers := served.workers():
            dice.choice(workers).kill()
            killed += 1
    return killed


@pytest.mark.timeout(300)  # it takes half a minute; on a busy machine each start takes long
def test_killed_at_random_under_load_nothing_is_lost_and_everybody_tells_the_truth(
    provider: RehearsalProcess, served: Served
) -> None:
    listener = Listener(served)
    listener.start()
    asking = threading.Thread(target=ask_for_runs, args=(served,))
    asking.start()
    killed = kill_at_random(served, listener, random.Random(_SEED))
    asking.join(timeout=patient(120))
    assert not asking.is_alive()
    runs = served.get("/runs")["items"]
    until(lambda: all(one["status"] == "succeeded" for one in served.get("/runs")["items"]), seconds=200)

    check_what_was_acknowledged(served)
    check_runs(served, provider, [one["id"] for one in runs], killed)
    check_processes(served)
    check_pages(served)
    check_stream(served, listener)


def check_what_was_acknowledged(served: Served) -> None:
    """All that was answered with 201 is there, once, and on the timeline."""
    assert {path: len(found) for path, found in served.accepted.items()}["/runs"] >= 1
    runs = [one["id"] for one in served.get("/runs")["items"]]
    assert len(runs) == RUNS, "one for each that was asked for, acknowledged or not"
    assert set(served.accepted["/runs"]) <= set(runs)
    assert set(served.accepted["/silences"]) <= {one["id"] for one in served.get("/silences")}
    assert set(served.accepted["/overrides"]) <= {one["id"] for one in served.get("/overrides")}
    events = rows(served, "SELECT kind, run_id, data FROM events")
    said = json.dumps([[kind, data] for kind, _, data in events])
    for made in (*served.accepted["/silences"], *served.accepted["/overrides"]):
        assert made in said, f"{made} was acknowledged and is on no timeline"
    created = [run_id for kind, run_id, _ in events if kind == "run.created"]
    assert set(served.accepted["/runs"]) <= set(created)


def check_runs(served: Served, provider: RehearsalProcess, runs: list[str], killed: int) -> None:
    """Each has come to its end once, no committed step was done twice, and each committed step is on the timeline."""
    database = served.project.root / "var" / "engine.db"
    committed = 0
    for run_id in runs:
        details = served.get(f"/runs/{run_id}")
        assert (details["run"]["status"], details["committed_steps_repeated"]) == ("succeeded", 0)
        events = rows(served, "SELECT kind, data FROM events WHERE run_id = ? ORDER BY sequence", run_id)
        kinds = [kind for kind, _ in events]
        assert kinds.count("run.finished") >= 1
        calls = {json.loads(data)["key"] for kind, data in events if kind == "model_call.finished"}
        mine = committed_steps(database, run_id)
        assert len(calls) >= mine, "a step was committed of which the timeline does not know"
        committed += mine
    calls_made = len(provider.calls())
    assert calls_made <= committed + 2 * killed, "more was asked again than was under way"


def check_processes(served: Served) -> None:
    """The list of workers shows those that live, and no others."""

    def at_work() -> Any:
        (control,) = served.get("/status")["control"]
        return control if {one["state"] for one in control["workers"]} == {"works"} else None

    control = until(at_work)
    shown = {worker["pid"] for worker in control["workers"]}
    assert served.command is not None
    assert control["pid"] == served.command.process.pid
    assert shown == {one.pid for one in served.workers()}
    assert all(psutil.pid_exists(one["pid"]) for one in served.get("/status")["processes"])
    assert [one for one in served.family.values() if is_there(one) and one.pid not in shown] == []


def check_pages(served: Served) -> None:
    """The pages say what the database and the API say."""
    with httpx2.Client(base_url=served.url, timeout=patient(30)) as client:
        page = client.get("/runs").text
        stored = rows(served, "SELECT id, status FROM runs")
        assert dict(stored) == {one["id"]: one["status"] for one in served.get("/runs")["items"]}
        for run_id, _ in stored:
            assert run_id in page
            one = client.get(f"/runs/{run_id}").text
            assert "succeeded" in one
            assert ">running<" not in one, "an agent has ended, and its lane has not"
        until(lambda: incidents_in(served) == {one["id"]: one["status"] for one in served.get(_INCIDENTS)["items"]})
        for incident in incidents_in(served):
            assert client.get(f"/incidents/{incident}").status_code == 200
        still = client.get("/runs?status=unfinished").text
        assert [run_id for run_id, _ in stored if run_id in still] == []


def incidents_in(served: Served) -> dict[str, str]:
    """The status of each incident in the database; an incident may go on to its next one at any moment."""
    return dict(rows(served, "SELECT id, status FROM incidents"))


def check_stream(served: Served, listener: Listener) -> None:
    """Whoever listened has heard everything, in order, once."""
    (last,) = rows(served, "SELECT max(sequence) FROM events")[0]
    until(lambda: listener.heard and listener.heard[-1] >= last)
    listener.wanted = False
    everything = [number for (number,) in rows(served, "SELECT sequence FROM events ORDER BY sequence")]
    assert listener.heard[: everything.index(last) + 1] == everything[: everything.index(last) + 1]
    assert listener.connections > KILLS // 3, "it was cut off with every control process"


def rows(served: Served, query: str, *values: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(served.project.root / "var" / "orchestrator.db")) as connection:
        return connection.execute(query, values).fetchall()
