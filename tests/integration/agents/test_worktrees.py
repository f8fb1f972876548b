"""Worktrees of runs, with real git."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from orchestration.agents.change_transfer import transfer
from orchestration.agents.git_objects import locate
from orchestration.agents.workspace import Workspace, WorkspaceError
from orchestration.agents.worktrees import WorktreeRecord, Worktrees
from orchestration.errors import ConflictError
from tests.support.repositories import git, make_repository

ODD = b"odd \xe9\n.bin"


class Shed:
    """The worktrees of one project."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.state = folder / "state"
        self.project = project
        self.worktrees = Worktrees(self.state / "worktrees", (self.state,))

    async def open(self, run: str = "run-1") -> WorktreeRecord:
        return await self.worktrees.open(run, self.project, partial(self._history, run))

    def _history(self, run: str, root: Path, left_out: Sequence[Path] = ()) -> Workspace:
        return Workspace(root, self.state / "shadow" / f"{run}.git", left_out)

    async def commit(self, record: WorktreeRecord, run: str = "run-1", left_out: Sequence[str] = ()) -> tuple[str, str]:
        """Commit what is in a worktree; returns the commit and the snapshot."""
        history = self._history(run, Path(record.top))
        tree = await history.snapshot()
        return await self.worktrees.commit(run, history, tree, f"Work\n\nRun-Id: {run}\n", left_out), tree

    def history(self, record: WorktreeRecord, run: str = "run-1") -> Workspace:
        return self._history(run, Path(record.top))


@pytest.fixture
def shed(tmp_path: Path) -> Shed:
    return Shed(tmp_path, make_repository(tmp_path / "project"))


async def test_a_worktree_has_the_users_files_as_they_are_and_leaves_them_alone(shed: Shed) -> None:
    project = shed.project
    (project / ".gitignore").write_text("ignored\nnode_modules/\n")
    (project / "app.py").write_text("one\nTWO\nthree\nfour\nfive\n")
    (project / "new.txt").write_text("not committed\n")
    (project / "ignored").write_text("x")
    (project / ".env").write_text("KEY=1")
    (project / "node_modules").mkdir()
    os.utime(project / "new.txt", (1_000_000_000, 1_000_000_000))
    before = git(project, "status", "--short"), git(project, "rev-parse", "HEAD")
    record = await shed.open()
    top = Path(record.top)
    assert sorted(path.name for path in top.iterdir()) == [".git", ".gitignore", "app.py", "new.txt", "node_modules"]
    assert (top / "app.py").read_text() == "one\nTWO\nthree\nfour\nfive\n"
    # What is installed is found, and what was there before the run is not taken for its work.
    assert (top / "node_modules").resolve() == project / "node_modules"
    assert (top / "new.txt").stat().st_mtime == 1_000_000_000
    assert git(top, "branch", "--show-current").strip() == "orchestrator/run-1"
    assert (git(project, "status", "--short"), git(project, "rev-parse", "HEAD")) == before
    # The user's work that is not committed is a commit of its own, below that of the run, without secrets.
    subject = git(project, "log", "--max-count=1", "--format=%s", record.branch)
    assert subject.strip() == "Work in project that was not committed when run-1 began"
    assert git(project, "show", "--format=", "--name-only", record.branch).split() == [
        ".gitignore",
        "app.py",
        "new.txt",
    ]


async def test_a_clean_tree_needs_no_commit_of_its_own(shed: Shed) -> None:
    record = await shed.open()
    assert record.base == git(shed.project, "rev-parse", "HEAD").strip()
    assert git(Path(record.top), "status", "--short") == ""


async def test_what_a_run_changes_becomes_one_commit_however_often_it_is_recorded(shed: Shed) -> None:
    record = await shed.open()
    top = Path(record.top)
    (top / "app.py").unlink()
    (top / "app.py").mkdir()
    (top / "app.py" / "inner").write_bytes(b"\0\xff" * 50_000)
    (top / os.fsdecode(ODD)).write_bytes(b"\r\n")
    (top / "tool").write_text("#!/bin/sh\n")
    (top / "tool").chmod(0o755)
    (top / "link").symlink_to("tool")
    (top / "secret.txt").write_text("key")
    first, tree = await shed.commit(record, left_out=["secret.txt"])
    assert (await shed.commit(record, left_out=["secret.txt"]))[0] == first
    raw = git(shed.project, "-c", "core.quotePath=true", "diff-tree", "-r", "--no-renames", "--raw", record.base, first)
    assert [(line.split()[1], line.split()[4], line.partition("\t")[2]) for line in raw.splitlines()] == [
        ("000000", "D", "app.py"),
        ("100644", "A", "app.py/inner"),
        ("120000", "A", "link"),
        ("100644", "A", r'"odd \351\n.bin"'),
        ("100755", "A", "tool"),
    ]
    assert git(top, "status", "--short").split() == ["??", "secret.txt"]
    assert (
        git(shed.project, "log", "--max-count=1", "--format=%(trailers:key=Run-Id,valueonly)", first).strip() == "run-1"
    )
    # The patch has all of it, and git applies it.
    patch = await shed.history(record).patch(record.baseline, tree)
    copy = shed.state / "copy"
    git(shed.state, "clone", "--quiet", str(shed.project), str(copy))
    git(copy, "apply", "-", given=patch)
    assert (copy / "app.py" / "inner").read_bytes() == b"\0\xff" * 50_000
    assert os.fsdecode(ODD) in {path.name for path in copy.iterdir()}


async def test_a_patch_of_many_megabytes_is_whole(shed: Shed) -> None:
    record = await shed.open()
    big = "".join(f"line {number}\n" for number in range(700_000))
    (Path(record.top) / "big.txt").write_text(big)
    history = shed.history(record)
    patch = await history.patch(record.baseline, await history.snapshot())
    assert len(patch) > 8_000_000
    git(shed.project, "apply", "-", given=patch)
    assert (shed.project / "big.txt").read_text() == big


async def test_two_runs_in_one_repository_give_two_clean_branches(shed: Shed) -> None:
    records = {run: await shed.open(run) for run in ("run-1", "run-2")}
    for number, (run, record) in enumerate(records.items()):
        (Path(record.top) / f"{run}.txt").write_text("x")
        lines = ["one", "two", "three", "four", "five"]
        lines[number * 4] = run
        (Path(record.top) / "app.py").write_text("\n".join(lines) + "\n")
    for run, record in records.items():
        await shed.commit(record, run)
    for run, record in records.items():
        changed = git(shed.project, "diff", "--name-only", "main", record.branch).split()
        assert changed == ["app.py", f"{run}.txt"]
    git(shed.project, "merge", "--quiet", records["run-1"].branch)
    git(shed.project, "merge", "--quiet", "-m", "both", records["run-2"].branch)
    assert (shed.project / "app.py").read_text() == "run-1\ntwo\nthree\nfour\nrun-2\n"


async def test_a_repository_may_hold_the_worktrees_of_its_own_runs(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    shed = Shed(project, project)
    for run in ("run-1", "run-2"):
        record = await shed.open(run)
        (Path(record.top) / f"{run}.txt").write_text("x")
        await shed.commit(record, run)
        assert git(project, "diff", "--name-only", "main", record.branch).split() == [f"{run}.txt"]
    # A run in place does not take them for a part of the workspace either.
    tree = await Workspace(project, tmp_path / "shadow" / "x.git", (shed.state,)).snapshot()
    copy = tmp_path / "copy"
    await Workspace(project, tmp_path / "shadow" / "x.git", (shed.state,)).export(tree, copy)
    assert [path.name for path in copy.iterdir()] == ["app.py"]


async def test_a_worktree_that_was_not_finished_is_made_anew_and_a_finished_one_is_kept(shed: Shed) -> None:
    record = await shed.open()
    (Path(record.top) / "app.py").write_text("half\n")
    assert await shed.open() == record
    assert (Path(record.top) / "app.py").read_text() == "half\n"
    # Killed before the record was written, with whatever was there by then.
    (shed.state / "worktrees" / "run-1" / "worktree.json").unlink()
    again = await shed.open()
    assert (again.base, (Path(again.top) / "app.py").read_text()) == (record.base, "one\ntwo\nthree\nfour\nfive\n")
    # Removed by hand.
    shutil.rmtree(record.top)
    (shed.state / "worktrees" / "run-1" / "worktree.json").unlink()
    await shed.open()
    assert git(shed.project, "worktree", "list").count("\n") == 2


async def test_nothing_that_the_users_repository_configures_is_executed(shed: Shed) -> None:
    project, trap = shed.project, shed.state.parent / "trap"
    script = shed.state.parent / "script"
    script.write_text(f"#!/bin/sh\ntouch {trap}\ncat\n")
    script.chmod(0o755)
    hooks = project / ".git" / "hooks"
    for name in ("post-checkout", "pre-commit", "post-commit", "reference-transaction", "post-index-change"):
        shutil.copy(script, hooks / name)
    for key in ("filter.x.clean", "filter.x.smudge", "core.fsmonitor", "gpg.program", "diff.external"):
        git(project, "config", key, str(script))
    git(project, "config", "commit.gpgSign", "true")
    (project / ".gitattributes").write_text("*.py filter=x\n")
    record = await shed.open()
    (Path(record.top) / "app.py").write_text("changed\n")
    await shed.commit(record)
    await shed.worktrees.remove("run-1", with_branch=True)
    assert not trap.exists()


async def test_line_ends_are_stored_as_the_users_commits_store_them(shed: Shed) -> None:
    project = shed.project
    (project / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (project / "dos.txt").write_bytes(b"one\r\ntwo\r\n")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "dos")
    record = await shed.open()
    assert record.base == git(project, "rev-parse", "HEAD").strip()
    (Path(record.top) / "dos.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    commit, _ = await shed.commit(record)
    assert git(project, "show", f"{commit}:dos.txt") == "one\ntwo\nthree\n"


@pytest.mark.parametrize("kind", ["no repository", "no commit", "ignored folder", "repositories inside"])
async def test_some_folders_have_no_worktrees(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    if kind == "no commit":
        git(folder, "init", "--quiet")
    elif kind == "ignored folder":
        make_repository(tmp_path / "outer", __gitignore="inner\n")
        folder = tmp_path / "outer" / "inner"
        folder.mkdir()
    elif kind == "repositories inside":
        make_repository(folder)
        make_repository(folder / "inner")
    assert await locate(folder) is None
    with pytest.raises(WorkspaceError, match="no longer a git repository"):
        await Shed(tmp_path, folder).open()


async def test_changes_are_applied_to_a_tree_that_has_moved_on_and_taken_back(shed: Shed) -> None:
    project = shed.project
    record = await shed.open()
    top = Path(record.top)
    (top / "app.py").write_text("one\ntwo\nthree\nfour\nFIVE\n")
    (top / "new").write_text("new\n")
    (top / "new").chmod(0o755)
    history = shed.history(record)
    changes = await history.changes(record.baseline, await history.snapshot())
    (project / "app.py").write_text("ONE\ntwo\nthree\nfour\nfive\n")
    assert await transfer(project, changes, history.blob) == ("app.py", "new")
    assert (project / "app.py").read_text() == "ONE\ntwo\nthree\nfour\nFIVE\n"
    assert os.access(project / "new", os.X_OK)
    await transfer(project, changes, history.blob)
    assert (project / "app.py").read_text() == "ONE\ntwo\nthree\nfour\nFIVE\n"
    await transfer(project, [change.reversed() for change in changes], history.blob)
    assert (project / "app.py").read_text() == "ONE\ntwo\nthree\nfour\nfive\n"
    assert not (project / "new").exists()


async def test_where_both_have_changed_the_same_nothing_is_written(shed: Shed) -> None:
    project = shed.project
    record = await shed.open()
    (Path(record.top) / "app.py").write_text("one\ntwo\nMINE\nfour\nfive\n")
    (Path(record.top) / "new").write_text("mine\n")
    history = shed.history(record)
    changes = await history.changes(record.baseline, await history.snapshot())
    (project / "app.py").write_text("one\ntwo\nYOURS\nfour\nfive\n")
    with pytest.raises(ConflictError, match=r"nothing was changed: app\.py"):
        await transfer(project, changes, history.blob)
    assert not (project / "new").exists()


async def test_a_helper_that_is_killed_at_any_point_is_started_again(
    shed: Shed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `git` before the real one on the path, which dies once, at a number that the test gives: as if the kernel had
    killed it for want of memory."""
    real = shutil.which("git")
    folder, at = tmp_path / "bin", tmp_path / "at"
    folder.mkdir()
    count = tmp_path / "count"
    (folder / "git").write_text(
        f"#!/bin/sh\nn=$(cat {count}); n=$((n+1)); echo $n > {count}\n"
        f'[ "$n" = "$(cat {at})" ] && kill -9 $$\nexec {real} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("orchestration.agents.workspace._PAUSE_SECONDS", 0.0)

    async def story(run: str) -> str:
        record = await shed.open(run)
        (Path(record.top) / "app.py").write_text("changed\n")
        commit, tree = await shed.commit(record, run)
        await shed.history(record, run).patch(record.baseline, tree)
        await shed.worktrees.remove(run, with_branch=False)
        return git(shed.project, "show", f"{commit}:app.py")

    count.write_text("0")
    at.write_text("0")
    assert await story("run-0") == "changed\n"
    helpers = int(count.read_text())
    assert helpers > 20
    for number in range(1, helpers, 3):
        count.write_text("0")
        at.write_text(str(number))
        assert await story(f"run-{number}") == "changed\n", number


async def test_five_thousand_files_have_a_worktree_in_seconds(shed: Shed) -> None:
    for number in range(5000):
        folder = shed.project / f"d{number % 50}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_text(f"{number}\n")
    git(shed.project, "add", "--all")
    git(shed.project, "commit", "--quiet", "--message", "many")
    started = time.process_time()
    record = await shed.open()
    assert len(list(Path(record.top).rglob("f*"))) == 5000
    assert time.process_time() - started < 5
