"""The worktree of a run that goes on gets what was committed since, with real git."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestration.agents import git_objects, worktrees
from orchestration.agents.workspace import FileChange, Workspace
from orchestration.agents.worktrees import WorktreeRecord, WorktreeUpdate
from orchestration.errors import ConflictError
from tests.integration.agents.test_worktrees import Shed
from tests.support.repositories import git, make_repository

LINES = "one\ntwo\nthree\nfour\nfive\n"


@pytest.fixture
def shed(tmp_path: Path) -> Shed:
    return Shed(tmp_path, make_repository(tmp_path / "project", app__py=LINES, other__py="x\n", gone__py="y\n"))


async def nothing_secret(_: FileChange) -> bool:
    return False


async def update(shed: Shed, record: WorktreeRecord) -> WorktreeUpdate | None:
    return await shed.worktrees.update("run-1", partial(shed._history, "run-1"), shed.history(record), nothing_secret)


def commit_all(project: Path, message: str = "mend") -> str:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", message)
    return git(project, "rev-parse", "HEAD").strip()


def files_of(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(top.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


async def test_what_was_committed_since_reaches_the_worktree_and_is_no_change_of_the_run(shed: Shed) -> None:
    project, record = shed.project, await shed.open()
    top = Path(record.top)
    (top / "app.py").write_text(LINES.replace("one", "ONE"))
    (project / "app.py").write_text(LINES.replace("five", "FIVE"))
    (project / "gone.py").unlink()
    (project / "folder").mkdir()
    (project / "folder" / "new.py").write_text("new\n")
    (project / "tool").write_text("#!/bin/sh\n")
    (project / "tool").chmod(0o755)
    (project / "link").symlink_to("tool")
    head = commit_all(project)
    os.utime(project / "folder" / "new.py", (1_000_000_000, 1_000_000_000))
    assert await update(shed, record) == WorktreeUpdate(head, 5)
    # It is not the run that has written it.
    assert (top / "folder" / "new.py").stat().st_mtime == 1_000_000_000
    assert (top / "app.py").read_text() == LINES.replace("one", "ONE").replace("five", "FIVE")
    assert not (top / "gone.py").exists()
    assert os.access(top / "tool", os.X_OK)
    assert (top / "link").readlink() == Path("tool")
    assert git(top, "status", "--short").split() == ["M", "app.py"]
    # Nothing was committed before, so that the branch is as if the run had begun here.
    present = shed.worktrees.record("run-1")
    assert present is not None
    assert present.updated
    commit, tree = await shed.commit(present)
    assert git(project, "rev-parse", f"{commit}^").strip() == head
    assert [one.path for one in await shed.history(present).changes(present.baseline, tree)] == ["app.py"]
    # Once is enough.
    assert await update(shed, present) is None


async def test_what_the_run_has_committed_stays_on_its_branch(shed: Shed) -> None:
    project, record = shed.project, await shed.open()
    (Path(record.top) / "mine.txt").write_text("mine\n")
    before, _ = await shed.commit(record)
    (Path(record.top) / "half.txt").write_text("not committed yet\n")
    (project / "other.py").write_text("mended\n")
    (project / "dirty.txt").write_text("not committed by the user\n")
    git(project, "add", "other.py")
    git(project, "commit", "--quiet", "--message", "mend")
    done = await update(shed, record)
    assert done is not None
    tip = git(project, "rev-parse", record.branch).strip()
    assert git(project, "rev-parse", f"{tip}^1", f"{tip}^2").split() == [before, done.commit]
    assert git(project, "log", "--format=%s", "--max-count=1", done.commit).strip().endswith("when run-1 went on")
    assert sorted(git(project, "diff", "--name-only", done.commit, tip).split()) == ["half.txt", "mine.txt"]
    assert git(Path(record.top), "status", "--short") == ""
    git(project, "checkout", "--quiet", "--", ".")
    (project / "dirty.txt").unlink()
    git(project, "merge", "--quiet", record.branch)
    assert (project / "mine.txt").exists()


@pytest.mark.parametrize("clash", ["lines", "deleted", "folder for a file", "file for a folder"])
async def test_a_conflict_changes_nothing_and_ends_with_a_merge_by_hand(shed: Shed, clash: str) -> None:
    project, record = shed.project, await shed.open()
    top = Path(record.top)
    mine, theirs = {
        "lines": (("app.py", "MINE\n"), ("app.py", "YOURS\n")),
        "deleted": (("app.py", "MINE\n"), ("app.py", None)),
        "folder for a file": (("new/inner", "MINE\n"), ("new", "YOURS\n")),
        "file for a folder": (("new", "MINE\n"), ("new/inner", "YOURS\n")),
    }[clash]
    for root, (name, text) in ((top, mine), (project, theirs)):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).unlink(missing_ok=True)
        if text is not None:
            (root / name).write_text(text)
    (project / "other.py").write_text("mended\n")
    head = commit_all(project)
    await shed.commit(record)
    before = files_of(top), git(project, "rev-parse", record.branch)
    for _ in range(2):
        with pytest.raises(ConflictError, match="changed since at the same places"):
            await update(shed, record)
        assert (files_of(top), git(project, "rev-parse", record.branch)) == before
        assert shed.worktrees.record("run-1") == record
    # What a person has brought together in the worktree is taken as it is.
    git(top, "config", "user.email", "dev@example.com")
    git(top, "merge", "--quiet", "--strategy=ours", "-m", "both", head)
    (top / "other.py").write_text("mended\n")
    git(top, "commit", "--quiet", "--all", "--message", "and this")
    assert await update(shed, record) is not None
    assert (top / mine[0]).read_text() == "MINE\n"
    assert (top / "other.py").read_text() == "mended\n"


async def test_another_line_of_commits_or_one_that_was_applied_leaves_it_alone(shed: Shed) -> None:
    project, record = shed.project, await shed.open()
    git(project, "checkout", "--quiet", "--orphan", "elsewhere")
    (project / "app.py").write_text("something else\n")
    commit_all(project)
    assert await update(shed, record) is None
    git(project, "checkout", "--quiet", "main")
    assert await update(shed, record) is None  # nothing is new
    (project / "app.py").write_text("later\n")
    commit_all(project)
    shed.worktrees.mark_applied("run-1", datetime.now(UTC))
    assert await update(shed, record) is None
    assert (Path(record.top) / "app.py").read_text() == LINES


async def test_a_run_whose_branch_was_merged_keeps_what_it_has_changed(shed: Shed) -> None:
    project, record = shed.project, await shed.open()
    (Path(record.top) / "mine.txt").write_text("mine\n")
    _, tree = await shed.commit(record)
    (project / "other.py").write_text("later\n")
    commit_all(project)
    git(project, "merge", "--quiet", "-m", "take it", record.branch)
    assert await update(shed, record) is None
    assert [one.path for one in await shed.history(record).changes(record.baseline, tree)] == ["mine.txt"]


@pytest.mark.parametrize("seed", [3, 14, 159])
async def test_both_lines_together_are_what_git_would_make_of_them(shed: Shed, tmp_path: Path, seed: int) -> None:
    """Random changes on both sides: either as `git merge` has it, or refused where git has a conflict."""
    chance, project, record = random.Random(seed), shed.project, await shed.open()
    names = [f"f{number}.txt" for number in range(12)]
    for name in names[:8]:
        (project / name).write_text("".join(f"line {number}\n" for number in range(30)))
    commit_all(project, "more")
    assert await update(shed, record) is not None
    record = shed.worktrees.record("run-1") or record
    for root, lines in ((project, range(15)), (Path(record.top), range(17, 30))):
        for name in chance.sample(names[:8] if root is project else names, 5):
            change(root / name, lines, chance)
    head = commit_all(project)
    commit, _ = await shed.commit(record)
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "--quiet", "--branch", record.branch, str(project), str(copy))
    for key, value in (("user.email", "dev@example.com"), ("user.name", "Dev")):
        git(copy, "config", key, value)
    try:
        git(copy, "merge", "--quiet", "-Xno-renames", "-m", "both", head)
    except subprocess.CalledProcessError:  # a conflict
        with pytest.raises(ConflictError):
            await update(shed, record)
        return
    assert await update(shed, record) is not None
    assert files_of(Path(record.top)) == files_of(copy)
    assert git(project, "rev-parse", f"{record.branch}^{{tree}}") == git(copy, "rev-parse", "HEAD^{tree}")
    assert git(project, "rev-parse", f"{record.branch}^1").strip() == commit


def change(file: Path, lines: range, chance: random.Random) -> None:
    if not file.exists():
        file.write_text(f"new {chance.random()}\n")
    elif chance.random() < 0.15:
        file.unlink()
    else:
        text = file.read_text().splitlines(keepends=True)
        text[chance.choice(lines)] = f"{chance.random()}\n"
        file.write_text("".join(text))


class KilledError(BaseException):
    """What ends a process asks nobody."""


class Fuse:
    """Makes one of the calls that it counts fail."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.at:
                raise KilledError
            return function(*arguments, **options)

        return call


async def test_an_update_that_was_killed_at_any_point_is_done_by_the_next(
    shed: Shed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before some of its helpers and writes, the last ones above all, which change something."""
    project = shed.project

    async def story(run: str, at: int) -> int:
        history = partial(shed._history, run)
        record = await shed.worktrees.open(run, project, history)
        top, fuse = Path(record.top), Fuse(at)
        (top / f"{run}.txt").write_text("mine\n")
        await shed.commit(record, run)
        (project / "app.py").write_text(f"{run}\n{LINES}")
        (project / f"by-{run}.py").write_text("theirs\n")
        head = commit_all(project)
        with monkeypatch.context() as patched:
            for module, name in ((worktrees, "transfer"), (worktrees, "run_git"), (git_objects, "run_git")):
                patched.setattr(module, name, fuse.wrapped(getattr(module, name)))
            patched.setattr(shed.worktrees, "_save", fuse.wrapped(shed.worktrees._save))
            patched.setattr(Workspace, "check_out", fuse.wrapped(Workspace.check_out))
            for _ in range(2):
                with contextlib.suppress(KilledError):
                    await shed.worktrees.update(run, history, shed.history(record, run), nothing_secret)
        present = shed.worktrees.record(run)
        assert present is not None
        assert (top / f"by-{run}.py").read_text() == "theirs\n"
        assert (top / "app.py").read_text() == (project / "app.py").read_text()
        git(project, "merge-base", "--is-ancestor", head, present.branch)
        assert git(project, "diff", "--name-only", present.base, present.branch).split() == [f"{run}.txt"]
        assert git(top, "status", "--short") == ""
        return fuse.count

    calls = await story("run-0", 0)
    assert calls > 8
    for number in (2, *range(calls, calls - 12, -2)):
        await story(f"run-{number}", number)


async def test_a_secret_that_has_come_since_stays_behind(shed: Shed) -> None:
    project, record = shed.project, await shed.open()
    (project / ".env").write_text("KEY=1\n")
    (project / "other.py").write_text("mended\n")
    git(project, "commit", "--quiet", "--all", "--message", "mend")
    assert await update(shed, record) is not None
    present = shed.worktrees.record("run-1")
    assert present is not None
    assert not (Path(record.top) / ".env").exists()
    assert git(project, "ls-tree", "--name-only", record.branch).split() == ["app.py", "gone.py", "other.py"]
    _, tree = await shed.commit(present)
    assert await shed.history(present).changes(present.baseline, tree) == ()
