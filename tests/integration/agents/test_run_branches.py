"""Runs in git repositories: each in a worktree and on a branch of its own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.runs.commands.changes import ApplyRun, DiscardRun
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import DONE, Rooms, calls, rooms
from tests.support.patience import patient
from tests.support.repositories import git, make_repository

SECRET = "ghp_" + "A1b2C3d4E5" * 3


def mends(body: dict[str, Any]) -> dict[str, Any]:
    """An executor that replaces the line named in its goal, makes a file, and is done."""
    told = [message for message in body["messages"] if message["role"] == "tool"]
    line = next(word for word in body["messages"][1]["content"].split() if word in ("one", "two", "five"))
    steps = [
        calls(("replace_in_file", {"path": "app.py", "old": line, "new": line.upper()})),
        calls(("write_file", {"path": f"{line}.txt", "content": f"{line}\n"})),
        DONE,
    ]
    return steps[len(told)]


async def _begun(house: Rooms, goal: str, **values: Any) -> Run:
    return await house.start(goal=goal, **values)


async def _ended(house: Rooms, run: Run) -> Run:
    await house.app.engine.result(run.id)
    return await house.app.get_run(run.id)


async def test_two_runs_at_once_leave_the_tree_alone_and_give_two_clean_branches(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "work")
    (project / "app.py").write_text("one\ntwo\nthree\nfour\nfive\nsix\n")  # not committed
    async with rooms(tmp_path, mends) as (house, _):
        first, second = await _begun(house, "change one"), await _begun(house, "change five")
        for run, line in ((first, "one"), (second, "five")):
            ended = await _ended(house, run)
            assert ended.status is RunStatus.SUCCEEDED, ended.reason
            base = f"{ended.branch}~1"
            assert git(project, "diff", "--name-only", base, ended.branch).split() == ["app.py", f"{line}.txt"]
            assert git(project, "show", f"{ended.branch}:app.py").split() == [
                one.upper() if one == line else one for one in ["one", "two", "three", "four", "five", "six"]
            ]
            message = git(project, "log", "--max-count=1", "--format=%B", ended.branch)
            assert message.strip() == f"change {line}\n\nRun-Id: {run.id}"
            patch = tmp_path / "artifacts" / run.id / "changes.patch"
            assert f"+{line.upper()}" in patch.read_text()
        assert git(project, "status", "--short").split() == ["M", "app.py"]
        by = "dev"
        for run in (first, second):
            await house.app.run_service.execute(run.id, ApplyRun(), by=by)
        assert (project / "app.py").read_text() == "ONE\ntwo\nthree\nfour\nFIVE\nsix\n"
        assert git(project, "status", "--short").split() == ["M", "app.py", "??", "five.txt", "??", "one.txt"]
        await house.app.run_service.execute(first.id, DiscardRun(), by=by)
        assert git(project, "branch", "--list", "orchestrator/*").split()[-1] == second.branch
        with pytest.raises(ConflictError, match="were discarded"):
            await house.app.run_service.execute(first.id, ApplyRun(), by=by)
        # The patch of a discarded run can still be shown.
        assert b"+ONE" in await house.app.run_service.changes.patch(await house.app.get_run(first.id))


async def test_a_secret_gets_into_no_commit(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "work")

    def script(body: dict[str, Any]) -> dict[str, Any]:
        told = [message for message in body["messages"] if message["role"] == "tool"]
        # A command puts it together: in the words of the model it would have been redacted before.
        leak = "printf ghp_%s%s%s A1b2C3d4E5 A1b2C3d4E5 A1b2C3d4E5 > keys.txt; echo fine > fine.txt"
        return DONE if told else calls(("run_command", {"command": ["sh", "-c", leak]}))

    async with rooms(tmp_path, script) as (house, _):
        run = await house.run()
        assert git(project, "diff", "--name-only", "main", run.branch).split() == ["fine.txt"]
        assert (Path(run.folder) / "keys.txt").read_text() == SECRET
        assert "keys.txt" in git(project, "log", "--max-count=1", "--format=%B", run.branch)
        assert SECRET not in (tmp_path / "artifacts" / run.id / "changes.patch").read_text()


async def test_a_fork_has_a_worktree_and_a_branch_of_its_own(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "work")
    async with rooms(tmp_path, mends) as (house, _):
        run = await _ended(house, await _begun(house, "change one"))
        fork = await _ended(house, await house.app.control.fork(run.id))
        assert (fork.status, fork.workspace) == (RunStatus.SUCCEEDED, str(project))
        assert fork.folder != run.folder
        assert git(project, "diff", run.branch, fork.branch) == ""


async def test_a_run_in_a_folder_of_a_repository_works_in_that_folder_of_its_worktree(tmp_path: Path) -> None:
    make_repository(tmp_path / "outer", README__md="x\n")
    folder = tmp_path / "outer" / "package"
    make = folder / "app.py"
    folder.mkdir()
    make.write_text("one\n")
    git(tmp_path / "outer", "add", "--all")
    git(tmp_path / "outer", "commit", "-qm", "package")
    async with rooms(tmp_path, mends) as (house, _):
        house.work = folder
        run = await _ended(house, await _begun(house, "change one"))
        assert Path(run.folder).name == "package"
        assert git(folder, "show", f"{run.branch}:package/app.py") == "ONE\n"
        await house.app.run_service.execute(run.id, ApplyRun(), by="dev")
        assert make.read_text() == "ONE\n"


async def test_in_place_only_one_run_at_a_time_and_it_can_be_taken_back(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "work")
    go_on = threading.Event()

    def slow(body: dict[str, Any]) -> dict[str, Any]:
        go_on.wait(patient(30))
        return mends(body)

    async with rooms(tmp_path, slow) as (house, _):
        first = await _begun(house, "change one", in_place=True)
        with pytest.raises(ConflictError, match=f"{first.id} works in .*without --in-place"):
            await _begun(house, "change two", in_place=True)
        other = await _begun(house, "change five")  # in a worktree, nobody is in the way
        go_on.set()
        assert (await _ended(house, first)).folder == str(project)
        await _ended(house, other)
        assert (project / "app.py").read_text().split() == ["ONE", "two", "three", "four", "five"]
        before = git(project, "show", "HEAD:app.py")
        with pytest.raises(ConflictError, match="there already"):
            await house.app.run_service.execute(first.id, ApplyRun(), by="dev")
        await house.app.run_service.execute(first.id, DiscardRun(), by="dev")
        assert (project / "app.py").read_text() == before


async def test_an_agent_that_only_reads_needs_no_worktree(tmp_path: Path) -> None:
    make_repository(tmp_path / "work")
    agents = [{"id": "scribe", "tools": ["read_file"]}]
    async with rooms(tmp_path, lambda body: {"content": json.dumps({"text": "fine"})}, agents) as (house, _):
        run = await house.run(agent="scribe")
        assert (run.status, run.has_worktree) == (RunStatus.SUCCEEDED, False)
