"""A run whose process is killed at each of its recorded steps, and whose helpers are killed one after the other, comes
to the end that it comes to undisturbed. The steps and the helpers are those of the run itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.domain.run_status import RunStatus
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs
from orchestration.storage.timeline import Timeline
from orchestration.workflows.step_count import count_steps
from tests.integration.agents.rooms import DONE, TOOLS, Rooms, ScriptedModel, calls, configure, rooms, says
from tests.support import prefork
from tests.support.patience import patient
from tests.support.repositories import git, make_repository

SCRIPT = Path(__file__).with_name("step_process.py")
AGENTS = [
    {"id": "planner", "tools": ["list_files"]},
    {"id": "executor", "tools": TOOLS, "commands": ["sh -c"]},
    {"id": "reviewer", "tools": ["read_file"]},
]
STEPS = [
    {"id": "one", "title": "one.txt", "instructions": "i", "files": ["one.txt"]},
    {"id": "two", "title": "two.txt", "instructions": "i", "files": ["two.txt"]},
    {"id": "app", "title": "app.py", "instructions": "i", "files": ["app.py"], "depends_on": ["one", "two"]},
]
# No step adds to what is there, so that the same answer follows whether or not it was carried out before.
WORK: dict[str, list[Any]] = {
    "one.txt": [calls(("write_file", {"path": "one.txt", "content": "1\n"})), DONE],
    "two.txt": [calls(("run_command", {"command": ["sh", "-c", "echo 2 > two.txt"]})), DONE],
    "app.py": [calls(("replace_in_file", {"path": "app.py", "old": "three", "new": "THREE"})), DONE],
}
KILLED = "killed the process that supervises it"


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """A model that remembers nothing: what it says follows from what it is told."""
    system, task = (str(message["content"]) for message in body["messages"][:2])
    told = len([message for message in body["messages"] if message["role"] == "tool"])
    if "Role: planner" in system:
        return says({"summary": "three steps", "steps": STEPS}) if told else calls(("list_files", {}))
    if "Role: reviewer" in system:
        return says({"verdict": "approved", "summary": "good"}) if told else calls(("read_file", {"path": "app.py"}))
    title = next(step["title"] for step in STEPS if f"Your step: {step['title']}" in task)
    # It is told of a command that was killed, and gives it again.
    return dict(WORK[title][int(told > 0 and KILLED not in str(body["messages"][-1]["content"]))])


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(answer) as one:
        yield one


class Killed:
    """A project, and the processes that work on its run."""

    def __init__(self, root: Path, model: ScriptedModel, seed: int, percent: int, url: str = "") -> None:
        self.root = root
        self.url = url or f"sqlite:///{root}/var/orchestrator.db"
        self.engine_url = url or f"sqlite:///{root}/var/engine.db"
        self.project = make_repository(root / "work")
        runtime = {"databaseUrlEnv": "DATABASE_URL"} if url else {}
        config = configure(root, model.url, AGENTS, **runtime)
        if url:
            (root / ".env").write_text(f"DATABASE_URL={url}\n")
        self.died = root / "died"
        self.died.write_text("")
        words = [str(SCRIPT), str(config), str(self.project), str(self.died), str(seed), str(percent)]
        self._command = [sys.executable, *words]

    def finish(self) -> int:
        """Start one process after the other until one comes to the end; returns how many were killed."""
        for killed in range(200):
            with prefork.Program(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                output, errors = process.communicate(timeout=patient(60))
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0, errors
                assert output.split()[-1] == "succeeded", output + errors
                return killed
        raise AssertionError("no process came to the end")

    def recorded(self) -> set[str]:
        """The steps with work of ours that the engine has recorded."""
        engine = sa.create_engine(self.engine_url)
        table = "dbos.operation_outputs" if self.url == self.engine_url else "operation_outputs"
        with engine.connect() as connection:
            rows = connection.execute(sa.text(f"SELECT workflow_uuid, function_id, function_name FROM {table}")).all()
        engine.dispose()
        return {f"{flow}/{number}/{name}" for flow, number, name in rows if not name.startswith(("DBOS.", "flow"))}

    def result(self) -> dict[str, Any]:
        """What the run has come to, without its name; nothing of it was done twice once it was recorded."""
        database = Database(self.url)
        (run,) = Runs(database).list()
        steps = count_steps(event for _, event in Timeline(database).list(run.id, limit=100_000))
        database.close()
        assert steps.committed_repeated == 0
        return {**result_of(run, self.project, self.root), "steps": steps.executed - steps.redone}


def result_of(run: Run, project: Path, root: Path) -> dict[str, Any]:
    outcome = run.outcome or {}
    return {
        "status": (run.status, run.reason, outcome.get("ending"), outcome.get("verdict")),
        "calls": outcome["use"]["model_calls"],
        "artifacts": {path.name: path.read_text() for path in (root / "artifacts" / run.id).iterdir()},
        "files": git(project, "ls-tree", "-r", run.branch),
        "commits": git(project, "log", "--format=%s", f"main..{run.branch}"),
        "left": git(Path(run.folder), "status", "--short"),
        "branches": git(project, "branch", "--format=%(refname:short)").replace(run.id, "RUN"),
    }


def undisturbed(tmp_path: Path, model: ScriptedModel) -> dict[str, Any]:
    one = Killed(tmp_path / "undisturbed", model, 0, 0)
    assert one.finish() == 0
    return one.result()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_every_recorded_step_it_comes_to_the_same_end(tmp_path: Path, model: ScriptedModel) -> None:
    expected = undisturbed(tmp_path, model)
    one = Killed(tmp_path / "killed", model, seed=20_261_129, percent=100)
    killed = one.finish()
    died = one.died.read_text().splitlines()
    assert killed == len(died)
    assert one.recorded() <= set(died)
    assert one.result() == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_same_on_postgresql_at_some_of_the_steps(tmp_path: Path, model: ScriptedModel, postgres_url: str) -> None:
    expected = undisturbed(tmp_path, model)
    one = Killed(tmp_path / "killed", model, seed=7, percent=20, url=postgres_url)
    assert one.finish() >= 4
    assert one.result() == expected


class Reaper:
    """Kills the helper processes of a run that begin with the words that it is given, each of these once."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.doomed: set[str] = set()
        self._aimed: list[tuple[str, asyncio.SubprocessTransport]] = []

    def aim_at(self, kinds: Collection[str]) -> None:
        """Kill one of each kind from now on."""
        self.doomed, self._aimed = set(kinds), []

    @property
    def killed(self) -> set[str]:
        """Which kinds were killed. On a busy machine some have done their work before the signal comes."""
        return {kind for kind, transport in self._aimed if transport.get_returncode() == -signal.SIGKILL}

    @contextlib.contextmanager
    def at_work(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        begin = asyncio.base_events.BaseEventLoop.subprocess_exec

        async def spawned(loop: Any, factory: Any, *words: Any, **options: Any) -> Any:
            transport, protocol = await begin(loop, factory, *words, **options)
            kind = kind_of([os.fsdecode(word) for word in words])
            self.seen.append(kind)
            if kind in self.doomed:
                self.doomed.discard(kind)
                self._aimed.append((kind, transport))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(transport.get_pid(), signal.SIGKILL)
            return transport, protocol

        with patch.context() as patched:
            patched.setattr(asyncio.base_events.BaseEventLoop, "subprocess_exec", spawned)
            yield


def kind_of(words: list[str]) -> str:
    """What a helper does: git's command, or that of a tool."""
    plain = [word for word in words if not word.startswith(("-", "/", "{")) and "=" not in word]
    if "git" in plain:
        plain = plain[plain.index("git") + 1 :]
        return f"git {plain[0]}" if plain else "git"
    return json.dumps(plain)


@pytest.mark.slow
async def test_each_kind_of_helper_that_is_killed_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.agents.workspace._PAUSE_SECONDS", 0.0)
    project, reaper = make_repository(tmp_path / "work"), Reaper()

    async def work(house: Rooms) -> dict[str, Any]:
        with reaper.at_work(monkeypatch):
            run = await house.run(agent=None, options={"checks": [["sh", "-c", "cat one.txt"]]})
        assert run.status is RunStatus.SUCCEEDED, (run.reason, reaper.killed)
        found = result_of(run, project, tmp_path)
        git(project, "worktree", "remove", "--force", run.folder)
        git(project, "branch", "-D", run.branch)
        return found

    async with rooms(tmp_path, answer, AGENTS) as (house, _):
        expected = await work(house)
        kinds = sorted(set(reaper.seen))
        assert {"git add", '["sh", "cat one.txt"]', '["sh", "echo 2 > two.txt"]'} < set(kinds)
        died: set[str] = set()
        # A few at a time: whoever is killed three times in a row has another reason than a lack of memory.
        for part in range(8):
            reaper.aim_at(kinds[part::8])
            found = await work(house)
            assert not reaper.doomed
            died |= reaper.killed
            if any("two.txt" in kind for kind in reaper.killed):
                # The agent was told, and gave its command once more.
                assert found.pop("calls") == expected["calls"] + 1
                assert "of which 1 failed" in found["artifacts"]["test-report.md"]
                found["artifacts"]["test-report.md"] = expected["artifacts"]["test-report.md"]
            assert found == {name: value for name, value in expected.items() if name in found}, reaper.killed
        assert len(died) > len(kinds) / 2, died
