"""A git worktree and a branch for each run, so that a run never writes into the user's own tree.

The files of a new worktree are those of the user's tree as it is, work that is not committed included, byte for byte.
Nothing that the user's repository configures is executed: no hook, filter or signing program. What is written there is
the worktree's registration, a branch, and objects, which git never changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.agents.change_transfer import transfer
from orchestration.agents.git_objects import ObjectWriter, Repository, locate, object_writer, unlock
from orchestration.agents.workspace import (
    FileChange,
    Workspace,
    WorkspaceError,
    attempted,
    run_git,
)
from orchestration.errors import ConflictError
from orchestration.private_folder import make_private_folder
from orchestration.security.permissions import PermissionRefusedError, holds_secrets
from orchestration.security.safe_folder import SafeFolder

_RECORD = "worktree.json"
_INSTALLED = ("node_modules", ".venv", "venv")


ShadowOf = Callable[[Path, Sequence[Path]], Workspace]
"""Returns the history of a folder without some paths in it."""


@dataclass(frozen=True, slots=True)
class WorktreeRecord:
    """What is known of a worktree that is ready: where it is, from which repository, its branch, the commit that the
    branch began at, and the snapshot of the files it began with.

    What it has been brought up to date with since is counted as what it began with. `head` is the commit that was
    checked out in the user's tree then, and `bases` are the commits by their snapshots, also the earlier ones.
    """

    top: str
    repository: str
    source: str
    branch: str
    base: str
    baseline: str
    applied_at: str | None = None
    head: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)

    @property
    def updated(self) -> bool:
        """Whether it has been brought up to date since it was made."""
        return len(self.bases) > 1

    def at(self, baseline: str) -> WorktreeRecord:
        """The record as it was when its files began with an earlier snapshot."""
        return replace(self, baseline=baseline, base=self.bases.get(baseline, self.base))


@dataclass(frozen=True, slots=True)
class WorktreeUpdate:
    """What a worktree was brought up to date with: the commit, and how many files differ in it."""

    commit: str
    files: int


class Worktrees:
    """The worktrees of runs, below a folder of ours."""

    def __init__(self, folder: Path, own: Sequence[Path]) -> None:
        """`own` are files and folders of ours, which are never taken along from a repository that holds them."""
        self._folder = folder
        self._own = own

    def place(self, run_id: str, workspace: Path, repository: Repository) -> Path:
        """The folder in which a run will work: where its workspace is, in the worktree."""
        return self._top(run_id, repository.top) / workspace.resolve().relative_to(repository.top.resolve())

    async def locate(self, folder: Path) -> Repository | None:
        """The repository that a folder belongs to, if runs can have worktrees of it."""
        return await locate(folder, self._own)

    def record(self, run_id: str) -> WorktreeRecord | None:
        """What is known of the worktree of a run; None while there is none."""
        try:
            found = json.loads((self._folder / run_id / _RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        # A later release, with which the folder may be shared during an upgrade, may have written more.
        return WorktreeRecord(**{each.name: found[each.name] for each in fields(WorktreeRecord) if each.name in found})

    def mark_applied(self, run_id: str, at: datetime) -> None:
        """Remember that the changes of a run were applied."""
        if (found := self.record(run_id)) is not None:
            self._save(run_id, replace(found, applied_at=at.isoformat()))

    def list(self) -> tuple[str, ...]:
        """The runs that have a worktree."""
        return tuple(sorted(path.parent.name for path in self._folder.glob(f"*/{_RECORD}")))

    async def open(
        self,
        run_id: str,
        source: Path,
        shadow_of: ShadowOf,
        tree: str | None = None,
        origin: WorktreeRecord | None = None,
    ) -> WorktreeRecord:
        """Make the worktree of a run, or find the one that is there. Whatever a killed process has left unfinished is
        made anew.

        `shadow_of` returns the history of a folder without some paths in it. A fork begins with a snapshot `tree`
        instead of the user's files, and its changes are counted from where those of its `origin` are.
        """
        if (found := self.record(run_id)) is not None:
            return found
        return await attempted(partial(self._open, run_id, source, shadow_of, tree, origin))

    async def _open(
        self,
        run_id: str,
        source: Path,
        shadow_of: ShadowOf,
        tree: str | None,
        origin: WorktreeRecord | None,
    ) -> WorktreeRecord:
        repository = await self.locate(source)
        if repository is None:
            raise WorkspaceError(f"{source} is no longer a git repository with a commit; start the run with --in-place")
        top, branch = self._top(run_id, repository.top), f"orchestrator/{run_id}"
        await anyio.to_thread.run_sync(_remove, top, repository.common)
        unlock(repository.common / "refs" / "heads" / branch)
        shadow = shadow_of(repository.top, (*self._own, *await _secrets(repository.top)))
        files = tree or await shadow.snapshot()
        if origin is not None:
            base, baseline = origin.base, origin.baseline
        else:
            baseline = files
            async with object_writer(repository, self._folder) as objects:
                base = await objects.commit_of_present_state(source, run_id, self._own)
        make_private_folder(top.parent)
        add = ("worktree", "add", "--quiet", "--no-checkout", "-B", branch, str(top), base)
        await run_git((f"--git-dir={repository.common}", *add), top.parent)
        await shadow.check_out(files, top)
        await anyio.to_thread.run_sync(_settle, repository.top, top)
        await _reset_index(repository, top)
        record = WorktreeRecord(
            str(top),
            str(repository.common),
            str(repository.top),
            branch,
            base,
            baseline,
            head=repository.head if origin is None else origin.head,
            bases={baseline: base},
        )
        self._save(run_id, record)
        return record

    async def update(
        self,
        run_id: str,
        shadow_of: ShadowOf,
        history: Workspace,
        is_secret: Callable[[FileChange], Awaitable[bool]],
    ) -> WorktreeUpdate | None:
        """Bring a worktree up to date with the user's tree, on a branch that has both; None if there is nothing newer,
        or another line of commits is checked out there. Nobody may work in the worktree meanwhile.

        `history` is that of the worktree. Raises ConflictError, with nothing changed, where both have changed the same
        places.
        """
        return await attempted(partial(self._update, run_id, shadow_of, history, is_secret))

    async def _update(
        self,
        run_id: str,
        shadow_of: ShadowOf,
        history: Workspace,
        is_secret: Callable[[FileChange], Awaitable[bool]],
    ) -> WorktreeUpdate | None:
        record = self.record(run_id)
        # What was applied or merged is in the user's tree already, and would be no change of the run's any more.
        if record is None or record.applied_at or not await anyio.Path(record.top).is_dir():
            return None
        repository = await self.locate(Path(record.source))
        if repository is None:
            return None
        files = await shadow_of(repository.top, (*self._own, *await _secrets(repository.top))).snapshot()
        theirs = await history.changes(record.baseline, files)
        async with object_writer(repository, self._folder) as objects:
            if not theirs or not await objects.contains(repository.head, record.head or record.base):
                return None
            tip = await objects.tip(record.branch) or record.base
            if tip != record.base and await objects.contains(repository.head, tip):
                return None
            base = await objects.commit_of_present_state(Path(record.source), run_id, self._own, "went on")
            # Somebody may have merged it by hand, because of a conflict.
            if not await objects.contains(tip, base):
                await _merge_files(record, files, history)
                commit = await self._merged(objects, record, tip, base, files, history, is_secret)
                await objects.move(record.branch, commit, tip)
        await _reset_index(repository, Path(record.top))
        # The last: what was begun and not recorded is begun once more.
        bases = {**record.bases, record.baseline: record.base, files: base}
        self._save(run_id, replace(record, base=base, baseline=files, head=repository.head, bases=bases))
        return WorktreeUpdate(base, len(theirs))

    async def _merged(
        self,
        objects: ObjectWriter,
        record: WorktreeRecord,
        tip: str,
        base: str,
        files: str,
        history: Workspace,
        is_secret: Callable[[FileChange], Awaitable[bool]],
    ) -> str:
        """The commit at which the branch goes on: the new base itself while the run has committed nothing."""
        if tip == record.base:
            return base
        tree = await history.snapshot()
        changes = [one for one in await history.changes(files, tree) if not await is_secret(one)]
        message = f"Merge {base[:10]} into {record.branch}\n"
        return await self._written(objects, base, history, tree, changes, message, (tip,))

    async def _written(
        self,
        objects: ObjectWriter,
        base: str,
        history: Workspace,
        tree: str,
        changes: Sequence[FileChange],
        message: str,
        also: Sequence[str] = (),
    ) -> str:
        """A commit of some changes, with the files as they are in a snapshot."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix="files-") as name:
            await history.check_out(tree, Path(name), [one.path for one in changes if one.new is not None])
            return await objects.commit(base, Path(name), changes, message, also)

    async def commit(self, run_id: str, shadow: Workspace, tree: str, message: str, left_out: Sequence[str]) -> str:
        """Record a snapshot of the worktree on its branch, unless it is there already; returns the commit."""
        return await attempted(partial(self._commit, run_id, shadow, tree, message, left_out))

    async def _commit(self, run_id: str, shadow: Workspace, tree: str, message: str, left_out: Sequence[str]) -> str:
        record = self.record(run_id)
        repository = await self.locate(Path(record.source)) if record else None
        if record is None or repository is None:
            raise WorkspaceError(f"the worktree of {run_id} is gone")
        changes = [one for one in await shadow.changes(record.baseline, tree) if one.path not in left_out]
        async with object_writer(repository, self._folder) as objects:
            tip = await objects.tip(record.branch) or record.base
            commit = await self._written(objects, tip, shadow, tree, changes, message)
            if commit != tip:
                await objects.move(record.branch, commit, tip)
        if await anyio.Path(record.top).is_dir():
            await _reset_index(repository, Path(record.top))
        return commit

    async def remove(self, run_id: str, *, with_branch: bool) -> None:
        """Remove the worktree of a run; its branch as well where nothing else is on it."""
        record = self.record(run_id)
        if record is not None:
            common = Path(record.repository)
            await anyio.to_thread.run_sync(_remove, Path(record.top), common)
            if with_branch and await anyio.Path(common).is_dir():
                unlock(common / "refs" / "heads" / record.branch)
                delete = (f"--git-dir={common}", "update-ref", "-d", f"refs/heads/{record.branch}")
                await attempted(partial(run_git, delete, common))
        await anyio.to_thread.run_sync(shutil.rmtree, self._folder / run_id, True)

    def _top(self, run_id: str, source: Path) -> Path:
        # Under the name of the project: tools show the name of the folder they work in.
        return self._folder / run_id / source.name

    def _save(self, run_id: str, record: WorktreeRecord) -> None:
        file = self._folder / run_id / _RECORD
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        temporary.replace(file)


async def _merge_files(record: WorktreeRecord, after: str, history: Workspace) -> None:
    """Bring what differs between what a worktree began with and a later snapshot into it; doing it twice changes
    nothing. Raises ConflictError, with nothing changed, where the run has changed the same places."""
    top, before = Path(record.top), record.baseline
    ours = {one.path: one for one in await history.changes(before, await history.snapshot())}
    theirs = [one for one in await history.changes(before, after) if one != ours.get(one.path)]
    rest = [one for one in theirs if one.path not in ours]
    if blocked := [one.path for one in rest if _is_in_the_way(one.path, ours)]:
        raise ConflictError(f"{top} has changed since at the same places, so nothing was changed: {', '.join(blocked)}")
    await transfer(top, [one for one in theirs if one.path in ours], history.blob)
    await anyio.to_thread.run_sync(_delete, top, [one.path for one in rest if one.new is None])
    new = [one.path for one in rest if one.new is not None]
    await history.check_out(after, top, new)
    await anyio.to_thread.run_sync(_copy_times, Path(record.source), [top / path for path in new], top)


def _is_in_the_way(path: str, ours: Iterable[str]) -> bool:
    """Whether one of our files is where a folder of the path is, or the other way round."""
    return any(path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in ours)


def _delete(top: Path, paths: Sequence[str]) -> None:
    folder = SafeFolder(top)
    for path in paths:
        # One that holds secrets by its name stays: no run needs it, and none may touch it.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionRefusedError):
            folder.remove(path)


async def _secrets(top: Path) -> list[Path]:
    """Files that hold secrets by their names and are not in the repository: no run needs the user's own keys."""
    listed = await run_git(("-C", str(top), "ls-files", "--others", "--exclude-standard", "-z"), top)
    paths = [os.fsdecode(path) for path in listed.split(b"\0") if path and b"\n" not in path]
    return [top / path for path in paths if any(holds_secrets(part) for part in path.split("/"))]


def _settle(source: Path, top: Path) -> None:
    """Give files the times of the user's, so that what the run writes is told from what was there; and let commands
    find what is installed in the user's tree, which git ignores."""
    _copy_times(source, (Path(folder, name) for folder, _, files in os.walk(top) for name in files), top)
    for name in _INSTALLED:
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            for found in source.glob(pattern):
                link = top / found.relative_to(source)
                if found.is_dir() and link.parent.is_dir() and not link.exists():
                    link.symlink_to(found.resolve())


def _copy_times(source: Path, files: Iterable[Path], top: Path) -> None:
    for here in files:
        with contextlib.suppress(OSError):
            times = (source / here.relative_to(top)).lstat()
            os.utime(here, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)


async def _reset_index(repository: Repository, top: Path) -> None:
    """Let the index of a worktree be what its branch has, so that `git status` shows what is not committed."""
    admin = await anyio.to_thread.run_sync(_admin_folder, top, repository.common)
    if admin is not None:
        unlock(admin / "index")
        await run_git((f"--git-dir={admin}", f"--work-tree={top}", "read-tree", "HEAD"), top)


def _admin_folder(top: Path, common: Path) -> Path | None:
    """Where a repository keeps what it knows of a worktree. Found from its side: an agent could change the file `.git`
    in the worktree."""
    for pointer in sorted((common / "worktrees").glob("*/gitdir")):
        try:
            if Path(pointer.read_text(encoding="utf-8").strip()).parent.resolve() == top.resolve():
                return pointer.parent
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _remove(top: Path, common: Path) -> None:
    """Remove a worktree and its registration. Not `git worktree prune`, which would forget others, such as those on a
    disk that is not mounted."""
    admin = _admin_folder(top, common)
    shutil.rmtree(top, ignore_errors=True)
    if admin is not None:
        shutil.rmtree(admin, ignore_errors=True)
