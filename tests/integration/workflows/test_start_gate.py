"""What a run waits for before it begins: the end of an isolation, and of a run in the same folder."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint

from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.storage.database import Database
from orchestration.storage.runs import IN_PLACE, WORKTREE, PlaceTakenError, Run, Runs, are_in_one_place
from orchestration.workflows.start_gate import StartGate
from tests.support.database import migrated
from tests.support.patience import until_async

NOW = SystemClock().now()


def in_place(name: str, folder: str = "/project", **values: object) -> Run:
    return Run(f"run-{name}", "goal", folder, NOW, options={IN_PLACE: True}, **values)  # type: ignore[arg-type]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    one = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    yield one
    one.close()


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


class Gate:
    """A gate, and whether the system is isolated."""

    def __init__(self, runs: Runs) -> None:
        self.isolated = False
        self._runs = runs
        self._gate = StartGate(runs, SystemClock(), self._configuration, checkpoint)

    def _configuration(self) -> Configuration:
        return Configuration.model_validate({"runtime": {"isolated": self.isolated}})

    def entered(self, run: str) -> asyncio.Task[None]:
        return asyncio.create_task(self._gate.enter(self._runs.get(run)))

    def followed(self, run: str) -> asyncio.Task[Run]:
        return asyncio.create_task(self._gate.follow(self._runs.get(run)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/a/b", "/a/b", True),
        ("/a", "/a/b/c", True),
        ("/a/b/c", "/a", True),
        ("/a/b", "/a/c", False),
        ("/a/b", "/a/bc", False),
    ],
)
def test_folders_within_each_other_are_one_place(one: str, other: str, expected: bool) -> None:
    assert are_in_one_place(in_place("1", one), in_place("2", other)) is expected
    assert not are_in_one_place(in_place("1", one), in_place("1", other))
    assert not are_in_one_place(in_place("1", one), Run("run-2", "g", other, NOW, options={WORKTREE: "/w"}))


@pytest.mark.parametrize("database_of", ["sqlite", "postgres"])
def test_of_many_that_begin_at_once_exactly_one_gets_the_folder(
    request: pytest.FixtureRequest, tmp_path: Path, database_of: str
) -> None:
    url = f"sqlite:///{tmp_path}/o.db" if database_of == "sqlite" else request.getfixturevalue("postgres_url")
    database = migrated(url)
    runs, start = Runs(database), threading.Barrier(8)
    folders = itertools.cycle(["/project", "/project/below", "/project/below/it"])

    def begin(run: Run) -> str:
        start.wait()
        try:
            runs.add(run)
        except PlaceTakenError:
            return ""
        return run.id

    with ThreadPoolExecutor(8) as pool:
        # Each of these is the folder of the first, or around it or below.
        found = list(pool.map(begin, [in_place(str(number), next(folders)) for number in range(8)]))
    database.close()
    assert len([one for one in found if one]) == 1


@pytest.mark.parametrize("status", list(RunStatus))
def test_a_folder_is_free_once_its_run_has_ended_or_was_stopped(runs: Runs, status: RunStatus) -> None:
    runs.add(in_place("1"))
    runs.set_status("run-1", status)
    later = in_place("2")
    if status.ended or status is RunStatus.STOPPED:
        runs.add(later)
        with pytest.raises(PlaceTakenError, match="run-2 works in /project"):
            runs.reopen("run-1")
        assert runs.get("run-1").status is status
    else:
        with pytest.raises(PlaceTakenError, match="run-1 works in /project"):
            runs.add(later)


async def test_a_run_that_was_stopped_waits_for_the_one_that_has_its_folder_now(runs: Runs) -> None:
    gate = Gate(runs)
    runs.add(in_place("1"))
    runs.set_status("run-1", RunStatus.STOPPED, "stopped", hold=RunHold.WORKER_STOPPED)
    runs.add(in_place("2"))
    # Another process takes over both parts of it.
    parent, agent = gate.entered("run-1"), gate.followed("run-1")
    await until_async(lambda: "run-2 works in the same folder" in runs.get("run-1").reason, 10)
    assert runs.get("run-1").hold is RunHold.WORKER_STOPPED
    assert not parent.done()
    assert not agent.done()
    runs.set_status("run-2", RunStatus.SUCCEEDED)
    await parent
    assert (await agent).status is RunStatus.RUNNING
    assert runs.get("run-1").reason == ""


async def test_no_queued_run_begins_before_the_isolation_is_lifted(runs: Runs) -> None:
    gate = Gate(runs)
    for name in ("1", "2", "3", "4"):
        runs.add(Run(f"run-{name}", "goal", "/project", NOW))
    runs.set_status("run-2", RunStatus.RUNNING)
    gate.isolated = True
    waiting, cancelled, paused = gate.entered("run-1"), gate.entered("run-3"), gate.entered("run-4")
    await gate.entered("run-2")  # it works already, without tools
    await until_async(lambda: all("isolated" in runs.get(f"run-{name}").reason for name in "134"), 10)
    assert runs.get("run-1").status is RunStatus.QUEUED
    # Who is cancelled or paused does not wait for it, and does not begin.
    runs.set_status("run-3", RunStatus.CANCELLED, "not needed")
    runs.set_status("run-4", RunStatus.STOPPED, "later", hold=RunHold.PAUSED_BY_PERSON)
    await cancelled
    await paused
    assert (runs.get("run-3").reason, runs.get("run-4").reason) == ("not needed", "later")
    assert not waiting.done()
    gate.isolated = False
    await waiting
    begun = runs.get("run-1")
    assert (begun.status, begun.reason, begun.started_at is not None) == (RunStatus.RUNNING, "", True)
