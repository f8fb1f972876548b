"""The promise: kill any process at any moment, and no work is lost and no committed step is done again."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio.from_thread
import psutil
import pytest

from orchestration.rehearsal import MODEL, RehearsalServer, samples
from orchestration.storage.database import Database
from orchestration.storage.runs import Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.step_count import count_steps
from tests.support import prefork
from tests.support.console import is_there
from tests.support.patience import patient, until

SCRIPT = Path(__file__).with_name("run_process.py")
SHIPPED = Path(__file__).parents[3] / "config" / "agents.config.json"
# More than the number of crashes after which the engine gives a flow up: a person's `resume` begins to count anew.
KILLS = 8


class Work:
    """A run in processes that are killed."""

    def __init__(self, root: Path, server: RehearsalServer) -> None:
        self.root = root
        self.server = server
        self.config = root / "config" / "agents.config.json"
        self.sample = samples.copy_to(root / "work")
        self.config.parent.mkdir()
        settings = json.loads(SHIPPED.read_text())
        own = {"type": "openai", "baseUrl": f"{server.url}/v1", "defaultModel": MODEL, "concurrency": 8}
        settings["runtime"] = {"defaultProvider": "own", "own": own, "limits": {"seconds": 600}}
        settings["models"] = {"own": [MODEL]}
        self.config.write_text(json.dumps(settings))
        self.kills = 0

    @contextmanager
    def process(self) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, str(SCRIPT), str(self.config), str(self.sample.workspace)]
        with prefork.Program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a process; whatever it was running has to be gone a moment later."""
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1
        until(lambda: not any(is_there(one) for one in below), 1.5)

    def finish(self) -> str:
        """Let the run go on to its end; returns what the process said last."""
        with self.process() as process:
            output, errors = process.communicate(timeout=patient(60))
        assert process.returncode == 0, errors
        return output.splitlines()[-1]

    def check(self) -> None:
        """Nothing lost, nothing done again, and the result is right."""
        database = Database(f"sqlite:///{self.root}/var/orchestrator.db")
        (run,) = Runs(database).list()
        events = [event for _, event in Timeline(database).list(run.id, limit=100_000)]
        steps = count_steps(events)
        spent = _rows(database, "SELECT count(*), count(distinct key) FROM spend")
        database.close()
        assert run.status.value == "succeeded", run.reason
        assert steps.committed_repeated == 0
        assert spent in ([(0, 0)], [(spent[0][0], spent[0][0])])
        again = Counter(call["fingerprint"] for call in self.server.call_log.calls())
        # What was under way may be asked again: at most one call of each agent that worked, for each kill.
        assert sum(again.values()) - len(again) <= 2 * self.kills
        assert max(again.values()) <= 1 + self.kills
        result = subprocess.run(
            [sys.executable, "-m", "unittest"], cwd=self.sample.workspace, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        changelog = (self.sample.workspace / "CHANGELOG.md").read_text()
        assert changelog.count("## Unreleased") == 1
        assert [path.name for path in self.sample.workspace.rglob("*.tmp")] == []


def _rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


@pytest.fixture
def server() -> Iterator[RehearsalServer]:
    with anyio.from_thread.start_blocking_portal() as portal:
        one = RehearsalServer(latency=0.01)
        portal.call(one.start)
        yield one
        portal.call(one.stop)


@pytest.mark.slow
def test_killed_at_random_moments_again_and_again(tmp_path: Path, server: RehearsalServer) -> None:
    work, chance = Work(tmp_path, server), random.Random(20260305)
    for _ in range(KILLS):
        with work.process() as process:
            if chance.random() < 0.2:
                time.sleep(chance.uniform(0.2, 1.2))
            else:
                assert process.stdout is not None
                assert process.stdout.readline()
                time.sleep(chance.uniform(0, 0.7))
            assert process.poll() is None
            work.kill(process)
    assert work.finish() == "ended succeeded "
    work.check()


@pytest.mark.slow
def test_killed_on_seeing_an_event(tmp_path: Path, server: RehearsalServer) -> None:
    work = Work(tmp_path, server)
    for line in ("run.created", "run.started", "tool_call.finished", "agent.finished", "run.resumed"):
        with work.process() as process:
            assert process.stdout is not None
            for said in process.stdout:
                if said.startswith(line):
                    break
            else:
                pytest.fail(f"the process ended without '{line}'")
            work.kill(process)
    assert work.finish() == "ended succeeded "
    work.check()
