"""A run in a worktree that goes on after a repair uses the repaired code; a conflict is said, and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from orchestration.domain.run_status import RunStatus
from orchestration.errors import ConflictError
from orchestration.runs.commands.changes import ApplyRun, DiscardRun
from orchestration.runs.commands.resume import ResumeRun
from orchestration.storage.runs import Run
from tests.integration.agents.rooms import DONE, Rooms, calls, rooms
from tests.support.patience import patient
from tests.support.repositories import git, make_repository

CHECK = ["sh", "-c", "! grep -q broken ratio.py"]
LINES = "one\ntwo\nthree\nfour\nfive\n"


def mends(body: dict[str, Any]) -> dict[str, Any]:
    """An executor that changes one line of its own, whatever is wrong elsewhere."""
    told = [message for message in body["messages"] if message["role"] == "tool"]
    return DONE if told else calls(("replace_in_file", {"path": "app.py", "old": "one", "new": "ONE"}))


def a_project(tmp_path: Path) -> Path:
    project = make_repository(tmp_path / "work", app__py=LINES, ratio__py="fine\n")
    (project / "ratio.py").write_text("broken\n")
    git(project, "commit", "--quiet", "--all", "--message", "break it")
    return project


async def failed(house: Rooms) -> Run:
    run = await house.run(options={"checks": [CHECK]})
    assert (run.status, run.outcome and run.outcome["ending"]) == (RunStatus.NOT_APPROVED, "check-failed")
    return run


async def resumed(house: Rooms, run: Run, **values: Any) -> Run:
    await house.app.run_service.execute(run.id, ResumeRun(**values), by="dev", queue=False)
    await house.app.engine.result(run.id)
    return await house.app.get_run(run.id)


async def test_what_was_reverted_meanwhile_is_in_the_worktree(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    async with rooms(tmp_path, mends) as (house, _):
        run = await failed(house)
        git(project, "revert", "--no-edit", "HEAD")
        (project / "new.txt").write_text("not committed\n")
        ended = await resumed(house, run)
        assert ended.status is RunStatus.SUCCEEDED, ended.reason
        assert (Path(ended.folder) / "ratio.py").read_text() == "fine\n"
        (event,) = house.of("run.updated")
        assert event.data["files"] == 2
        # What the run has changed is what it has changed: neither the repair nor what the user is at.
        assert [one.path for one in await house.app.run_service.changes.files(ended)] == ["app.py"]
        assert git(project, "diff", "--name-only", event.data["commit"], run.branch).split() == ["app.py"]
        await house.app.run_service.execute(run.id, ApplyRun(), by="dev")
        assert git(project, "status", "--short").split() == ["M", "app.py", "??", "new.txt"]
        git(project, "merge-base", "--is-ancestor", "HEAD", run.branch)
        await house.app.run_service.execute(run.id, DiscardRun(), by="dev")
        assert not Path(run.folder).exists()


async def test_the_changes_of_an_executor_that_works_on_are_counted_from_the_repaired_code(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    broken = True

    def fails_first(body: dict[str, Any]) -> dict[str, Any] | int:
        told = [message for message in body["messages"] if message["role"] == "tool"]
        return 400 if told and broken else mends(body)

    async with rooms(tmp_path, fails_first, agentRetries=0) as (house, _):
        run = await house.run()
        assert run.status is RunStatus.FAILED
        (project / "ratio.py").write_text("fine\n")
        git(project, "commit", "--quiet", "--all", "--message", "mend")
        broken = False
        ended = await resumed(house, run)
        assert ended.status is RunStatus.SUCCEEDED, ended.reason
        patch = (tmp_path / "artifacts" / run.id / "changes.patch").read_text()
        assert "+ONE" in patch
        assert "ratio.py" not in patch
        # As if it had begun after the repair: one commit on top of it.
        assert git(project, "rev-parse", f"{run.branch}^").strip() == git(project, "rev-parse", "HEAD").strip()
        # A fork of it has the same.
        fork = await house.app.control.fork(run.id)
        await house.app.engine.result(fork.id)
        assert (Path(fork.folder) / "ratio.py").read_text() == "fine\n"
        assert git(project, "diff", run.branch, fork.branch) == ""


async def test_a_conflict_is_said_with_the_ways_out_of_it(tmp_path: Path) -> None:
    project = a_project(tmp_path)
    async with rooms(tmp_path, mends) as (house, _):
        run = await failed(house)
        git(project, "revert", "--no-edit", "HEAD")
        (project / "app.py").write_text(LINES.replace("one", "eins"))
        git(project, "commit", "--quiet", "--all", "--message", "the same line")
        before = (Path(run.folder) / "app.py").read_text(), git(project, "rev-parse", run.branch)
        with pytest.raises(ConflictError, match=r"app\.py.*git merge.*resume run-\w+ --keep-base"):
            await resumed(house, run)
        assert ((Path(run.folder) / "app.py").read_text(), git(project, "rev-parse", run.branch)) == before
        assert (await house.app.get_run(run.id)).status is RunStatus.NOT_APPROVED
        # As it was, the check fails as it did.
        assert (await resumed(house, run, keep_base=True)).status is RunStatus.NOT_APPROVED
        git(Path(run.folder), "config", "user.email", "dev@example.com")
        git(Path(run.folder), "merge", "--quiet", "-Xours", "-m", "both", "main")
        ended = await resumed(house, run)
        assert ended.status is RunStatus.SUCCEEDED, ended.reason
        assert (Path(run.folder) / "app.py").read_text() == LINES.replace("one", "ONE")
        assert [one.path for one in await house.app.run_service.changes.files(ended)] == ["app.py"]


async def test_a_run_that_somebody_had_paused_gets_it_too(tmp_path: Path) -> None:
    project, go_on = a_project(tmp_path), threading.Event()

    def slow(body: dict[str, Any]) -> dict[str, Any]:
        go_on.wait(patient(30))
        return mends(body)

    async with rooms(tmp_path, slow) as (house, model):
        run = await house.start()
        await house.until(lambda: model.asked)
        await house.app.control.pause(run.id, "later")
        go_on.set()
        git(project, "revert", "--no-edit", "HEAD")
        ended = await resumed(house, run)
        assert ended.status is RunStatus.SUCCEEDED, ended.reason
        assert (Path(run.folder) / "ratio.py").read_text() == "fine\n"
        assert git(project, "rev-parse", f"{run.branch}^").strip() == git(project, "rev-parse", "HEAD").strip()
