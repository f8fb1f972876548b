from __future__ import annotations

import asyncio
import gc
import os
import subprocess
from pathlib import Path

import pytest

from orchestration.agents.call_recorder import CallRecorder
from orchestration.agents.patches import readable
from orchestration.agents.run_workspace import RunWorkspace
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.workspace import Workspace, WorkspaceError, checked_root
from orchestration.clock import SystemClock
from orchestration.errors import UsageError
from orchestration.events import Event, EventBus
from orchestration.security.redaction import Redactor
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.call_records import CallRecords
from orchestration.storage.runs import Run
from orchestration.workflows.artifacts import ArtifactStore
from tests.support.database import migrated

SECRET = "correct-horse-battery"


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "protocol.file.allow=always")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "first")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    return folder


async def patch_of(workspace: Workspace, before: str, after: str) -> str:
    return (await workspace.patch(before, after)).decode("utf-8", "surrogateescape")


@pytest.fixture
def workspace(root: Path, tmp_path: Path) -> Workspace:
    return Workspace(root, tmp_path / "shadow" / "run.git")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


async def test_a_snapshot_is_the_same_for_the_same_content_and_differs_otherwise(
    workspace: Workspace, root: Path
) -> None:
    first = await workspace.snapshot()
    assert await workspace.snapshot() == first
    (root / "a.txt").write_text("two\n")
    (root / "new.txt").write_text("new\n")
    second = await workspace.snapshot()
    assert second != first
    patch = await patch_of(workspace, first, second)
    assert "-one\n+two\n" in patch
    assert "+++ b/new.txt" in patch
    assert await patch_of(workspace, first, first) == ""


async def test_a_patch_can_be_applied(workspace: Workspace, root: Path, tmp_path: Path) -> None:
    before = await workspace.snapshot()
    (root / "a.txt").rename(root / "b.txt")
    (root / "é.txt").write_text("ü\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    after = await workspace.snapshot()
    copy = tmp_path / "copy"
    await workspace.export(before, copy)
    (tmp_path / "patch").write_text(await patch_of(workspace, before, after))
    git(copy, "apply", str(tmp_path / "patch"))
    assert files_of(copy) == files_of(root)
    assert os.access(copy / "run.sh", os.X_OK)


async def test_the_users_own_repository_is_not_touched(workspace: Workspace, root: Path) -> None:
    repository(root)
    (root / "b.txt").write_text("not added\n")
    hook = root / ".git" / "hooks" / "post-index-change"
    hook.write_text(f"#!/bin/sh\ntouch {root.parent}/hook-ran\n")
    hook.chmod(0o755)
    git(root, "config", "core.fsmonitor", f"touch {root.parent}/monitor-ran")
    before = {path: path.read_bytes() for path in (root / ".git").rglob("*") if path.is_file()}
    tree = await workspace.snapshot()
    await workspace.export(tree, root.parent / "copy")
    assert {path: path.read_bytes() for path in (root / ".git").rglob("*") if path.is_file()} == before
    assert files_of(root.parent / "copy") == {"a.txt": b"one\n", "b.txt": b"not added\n"}
    assert not list(root.parent.glob("*-ran"))


async def test_what_gitignore_leaves_out_is_left_out(workspace: Workspace, root: Path) -> None:
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    (root / "x.log").touch()
    for folder in ("build", "node_modules", "__pycache__"):
        (root / folder).mkdir()
        (root / folder / "y").touch()
    repository(root / "build" / "vendored", z="z")
    await workspace.export(await workspace.snapshot(), root.parent / "copy")
    assert set(files_of(root.parent / "copy")) == {".gitignore", "a.txt"}


@pytest.fixture
def nested(root: Path) -> Path:
    """A repository with a submodule, a repository in it, one without a commit, and one inside another."""
    source = repository(root.parent / "source", lib="lib\n")
    repository(root)
    git(root, "submodule", "--quiet", "add", str(source), "module")
    repository(root / "plain" / "inner", inner="inner\n")
    repository(root / "plain" / "inner" / "deep", deep="deep\n")
    (root / "fresh").mkdir()
    git(root / "fresh", "init", "--quiet")
    (root / "fresh" / "file").write_text("fresh\n")
    return root


async def test_files_of_repositories_inside_are_recorded_like_others(workspace: Workspace, nested: Path) -> None:
    before = await workspace.snapshot()
    copy = nested.parent / "copy"
    await workspace.export(before, copy)
    assert files_of(copy) == files_of(nested)
    (nested / "module" / "lib").write_text("changed\n")
    (nested / "plain" / "inner" / "deep" / "deep").unlink()
    (nested / "fresh" / "more").write_text("more\n")
    after = await workspace.snapshot()
    assert await workspace.snapshot() == after
    patch = await patch_of(workspace, before, after)
    assert [line for line in patch.splitlines() if line.startswith("diff")] == [
        "diff --git a/fresh/more b/fresh/more",
        "diff --git a/module/lib b/module/lib",
        "diff --git a/plain/inner/deep/deep b/plain/inner/deep/deep",
    ]


async def test_a_folder_that_becomes_a_repository_keeps_its_history(workspace: Workspace, root: Path) -> None:
    (root / "sub").mkdir()
    (root / "sub" / "x").write_text("x\n")
    before = await workspace.snapshot()
    repository(root / "sub")
    assert await workspace.snapshot() == before
    (root / "sub" / "x").unlink()
    assert "deleted file" in await patch_of(workspace, before, await workspace.snapshot())


async def test_odd_files_do_no_harm(workspace: Workspace, root: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(root) + b"/x\xe9"))
    odd.write_bytes(b"x\n")
    (root / "new\nline").write_text("x\n")
    (root / "-n").write_text("x\n")
    (root / "read-only").write_text("x\n")
    (root / "read-only").chmod(0o444)
    (root / "large").write_bytes(os.urandom(1 << 20) * 21)
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "fifo")
    tree = await workspace.snapshot()
    copy = root.parent / "copy"
    await workspace.export(tree, copy)
    expected = {name: data for name, data in files_of(root).items() if name != "link"}
    assert {name: data for name, data in files_of(copy).items() if name != "link"} == expected
    assert (copy / "link").is_symlink()
    odd.write_bytes(b"y\n")
    (root / "large").write_bytes(b"small")
    patch = await patch_of(workspace, tree, await workspace.snapshot())
    readable(patch.encode("utf-8", "surrogateescape")).encode()
    assert "-x\n+y\n" in patch


async def test_attributes_of_the_workspace_run_no_filter_and_change_no_byte(workspace: Workspace, root: Path) -> None:
    (root / ".gitattributes").write_text("* text eol=crlf ident filter=evil diff=evil working-tree-encoding=UTF-16\n")
    (root / "id").write_bytes(b"$Id$\r\nmixed\n")
    await workspace.export(await workspace.snapshot(), root.parent / "copy")
    assert files_of(root.parent / "copy") == files_of(root)


async def test_a_lock_that_a_killed_process_left_does_not_hide_changes(workspace: Workspace, root: Path) -> None:
    before = await workspace.snapshot()
    for name in ("index.lock", "index-root.lock"):
        (root.parent / "shadow" / "run.git" / name).touch()
    (root / "a.txt").write_text("changed\n")
    assert await workspace.snapshot() != before


async def test_a_shadow_that_was_not_finished_is_made_anew(workspace: Workspace, root: Path) -> None:
    (root.parent / "shadow" / "run.new" / "half").mkdir(parents=True)
    assert await workspace.snapshot()


async def test_two_runs_in_one_workspace_keep_their_histories_apart(root: Path, tmp_path: Path) -> None:
    runs = [Workspace(root, tmp_path / "shadow" / f"{number}.git") for number in range(2)]
    trees = await asyncio.gather(*(run.snapshot() for run in runs for _ in range(3)))
    assert len(set(trees)) == 1
    (root / "b.txt").write_text("b\n")
    after = await asyncio.gather(*(run.snapshot() for run in runs))
    patches = [await patch_of(run, trees[0], after[0]) for run in runs]
    assert patches[0] == patches[1]
    assert "+++ b/b.txt" in patches[0]


async def test_a_workspace_that_is_gone_is_an_error_and_can_still_be_exported(workspace: Workspace, root: Path) -> None:
    tree = await workspace.snapshot()
    (root / "a.txt").unlink()
    root.rmdir()
    with pytest.raises(WorkspaceError, match="No such file or directory"):
        await workspace.snapshot()
    await workspace.export(tree, root.parent / "copy")
    assert files_of(root.parent / "copy") == {"a.txt": b"one\n"}
    with pytest.raises(UsageError, match="does not exist yet"):
        await workspace.export(tree, root.parent / "copy")


@pytest.mark.parametrize("place", ["missing", "file", "/", "state", "state/shadow"])
def test_what_is_no_projects_folder_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "state" / "shadow").mkdir(parents=True)
    with pytest.raises(UsageError, match="expected a"):
        checked_root(tmp_path / place, tmp_path / "state")


def test_copies_that_the_system_makes_for_work_are_accepted(tmp_path: Path) -> None:
    fork = tmp_path / "state" / "forks" / "run-2"
    fork.mkdir(parents=True)
    assert checked_root(fork, tmp_path / "state") == fork


@pytest.fixture
def bench(tmp_path: Path) -> RunWorkspace:
    database = migrated(f"sqlite:///{tmp_path}/db")
    store = ArtifactStore(tmp_path / "artifacts", ArtifactTable(database), SystemClock())
    clock = SystemClock()
    bus = EventBus(clock)
    redactor = ReportingRedactor(Redactor([SECRET]), bus, clock)
    recorder = CallRecorder(CallRecords(database), redactor.quiet, clock, lambda: False)
    return RunWorkspace(tmp_path / "state", store, bus, clock, redactor, lambda _: SandboxLimits(), recorder)


async def test_no_workspace_is_held_longer_than_somebody_works_with_it(bench: RunWorkspace, root: Path) -> None:
    for number in range(5):
        run = Run(f"run-{number}", "goal", str(root), SystemClock().now())
        held = bench.workspace(run)
        assert bench.workspace(run) is held
    del held
    gc.collect()
    assert len(bench._open) == 0


async def test_patches_checks_and_artifacts_are_redacted(bench: RunWorkspace, root: Path) -> None:
    run = Run("run-1", "goal", str(root), SystemClock().now())
    told: list[Event] = []
    bench._bus.subscribe(told.append)
    before = await bench.snapshot(run)
    (root / "a.txt").write_text(f"{SECRET}\n")
    assert SECRET not in await bench.patch(run, before, await bench.snapshot(run))
    check = await bench.check(run, ("cat", "a.txt"))
    assert (check.exit_code, check.output) == (0, "[redacted:credential]\n")
    await bench.write(run, "plan.md", f"a {SECRET}", "planner")
    assert bench._artifacts.path("run-1", "plan.md").read_text() == "a [redacted:credential]"
    caught = [(one.run_id, one.agent, one.data["place"]) for one in told if one.kind == "secret.redacted"]
    assert caught == [
        ("run-1", None, "a patch"),
        ("run-1", None, "a check's output"),
        ("run-1", "planner", "an artifact"),
    ]


async def test_an_artifact_that_was_lost_or_altered_is_written_again(bench: RunWorkspace) -> None:
    run = Run("run-1", "goal", "", SystemClock().now())
    folder = bench._artifacts.folder / "run-1"
    for name in ("plan.md", "review.md", "notes.md"):
        await bench.write(run, name, name, "planner")
    told: list[Event] = []
    bench._bus.subscribe(told.append)
    (folder / "plan.md").unlink()
    (folder / "review.md").write_text("cut")
    for name in ("plan.md", "review.md", "notes.md"):
        await bench.keep(run, name, name, "planner")
    assert not bench._artifacts.verify("run-1")
    assert (folder / "changed-review.md").read_text() == "cut"
    restored = [(one.data["name"], one.data["problem"]) for one in told if one.kind == "artifact.restored"]
    assert restored == [("plan.md", "missing"), ("review.md", "changed")]


async def test_an_artifact_in_quarantine_stays_there(bench: RunWorkspace, tmp_path: Path) -> None:
    run = Run("run-1", "goal", "", SystemClock().now())
    await bench.write(run, "plan.md", "plan", "planner")
    place = tmp_path / "state" / "quarantine" / "incident-1" / "run-1"
    place.mkdir(parents=True)
    bench._artifacts.path("run-1", "plan.md").rename(place / "plan.md")
    await bench.keep(run, "plan.md", "plan", "planner")
    assert not bench._artifacts.path("run-1", "plan.md").exists()


def test_a_path_that_cannot_be_one_here_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="File name too long"):
        checked_root(tmp_path / ("x" * 300), tmp_path / "state")


async def test_the_histories_of_runs_are_no_part_of_a_workspace_that_holds_them(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    histories = tmp_path / "state [1]" / "shadow"
    first, second = (Workspace(tmp_path, histories / f"{name}.git") for name in ("one", "two"))
    before = await first.snapshot()
    await second.snapshot()
    assert await first.snapshot() == before
