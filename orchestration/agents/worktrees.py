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
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.agents.workspace import (
    HelperKilledError,
    Workspace,
    WorkspaceError,
    attempted,
    repositories_in,
    run_git,
)
from orchestration.security.permissions import SECRET_FILES, holds_secrets

_RECORD = "worktree.json"
_IDENTITY = "Orchestrator", "orchestrator@localhost"
_INSTALLED = ("node_modules", ".venv", "venv")
# Read from the user's configuration: with them, git stores line ends as the user's own commits do.
_LINE_ENDS = ("core.autocrlf", "core.eol")


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository with a commit: the top of its tree, its common folder, the folder of this tree's index, and the
    checked-out commit."""

    top: Path
    common: Path
    own: Path
    head: str
    object_format: str


@dataclass(frozen=True, slots=True)
class WorktreeRecord:
    """What is known of a worktree that is ready: where it is, from which repository, its branch, the commit that the
    branch began at, and the snapshot of the files it began with."""

    top: str
    repository: str
    source: str
    branch: str
    base: str
    baseline: str
    applied_at: str | None = None


async def locate(folder: Path, left_out: Sequence[Path] = ()) -> Repository | None:
    """The repository that a folder belongs to, if runs can have worktrees of it; None for one without a commit, of
    which the folder is no part, or that holds other repositories, whose files git would not bring along. Worktrees of
    ours are in `left_out`."""
    return await attempted(partial(_locate, folder, left_out))


async def _locate(folder: Path, left_out: Sequence[Path]) -> Repository | None:
    asked = ("--show-toplevel", "--git-common-dir", "--git-dir", "--show-object-format", "--verify", "HEAD")
    try:
        found = await run_git(("-C", str(folder), "rev-parse", "--path-format=absolute", *asked[:4]), folder)
        head = (await run_git(("-C", str(folder), "rev-parse", *asked[4:]), folder)).decode().strip()
        tracked = await run_git(("-C", str(folder), "ls-files", "-z", "--cached", "--", "."), folder)
    except HelperKilledError:
        raise
    except WorkspaceError:
        return None
    top, common, own, object_format = os.fsdecode(found).splitlines()
    inside: list[str] = await anyio.to_thread.run_sync(repositories_in, Path(top), left_out)
    if not tracked or inside:
        return None
    return Repository(Path(top), Path(common), Path(own), head, object_format)


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
            return WorktreeRecord(**json.loads((self._folder / run_id / _RECORD).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

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
        shadow_of: Callable[[Path, Sequence[Path]], Workspace],
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
        shadow_of: Callable[[Path, Sequence[Path]], Workspace],
        tree: str | None,
        origin: WorktreeRecord | None,
    ) -> WorktreeRecord:
        repository = await self.locate(source)
        if repository is None:
            raise WorkspaceError(f"{source} is no longer a git repository with a commit; start the run with --in-place")
        top, branch = self._top(run_id, repository.top), f"orchestrator/{run_id}"
        await anyio.to_thread.run_sync(_remove, top, repository.common)
        _unlock(repository.common / "refs" / "heads" / branch)
        shadow = shadow_of(repository.top, (*self._own, *await _secrets(repository.top)))
        files = tree or await shadow.snapshot()
        if origin is not None:
            base, baseline = origin.base, origin.baseline
        else:
            baseline = files
            async with _objects(repository, self._folder) as objects:
                base = await objects.commit_of_present_state(source, run_id, self._own)
        top.parent.mkdir(parents=True, exist_ok=True)
        add = ("worktree", "add", "--quiet", "--no-checkout", "-B", branch, str(top), base)
        await run_git((f"--git-dir={repository.common}", *add), top.parent)
        await shadow.check_out(files, top)
        await anyio.to_thread.run_sync(_settle, repository.top, top)
        await _reset_index(repository, top)
        record = WorktreeRecord(str(top), str(repository.common), str(repository.top), branch, base, baseline)
        self._save(run_id, record)
        return record

    async def commit(self, run_id: str, shadow: Workspace, tree: str, message: str, left_out: Sequence[str]) -> str:
        """Record a snapshot of the worktree on its branch, unless it is there already; returns the commit."""
        return await attempted(partial(self._commit, run_id, shadow, tree, message, left_out))

    async def _commit(self, run_id: str, shadow: Workspace, tree: str, message: str, left_out: Sequence[str]) -> str:
        record = self.record(run_id)
        repository = await self.locate(Path(record.source)) if record else None
        if record is None or repository is None:
            raise WorkspaceError(f"the worktree of {run_id} is gone")
        changes = [one for one in await shadow.changes(record.baseline, tree) if one.path not in left_out]
        async with _objects(repository, self._folder) as objects:
            tip: str = await objects.tip(record.branch) or record.base
            with tempfile.TemporaryDirectory(dir=self._folder, prefix="files-") as name:
                files = Path(name)
                kept = [one.path for one in changes if one.new is not None]
                await shadow.check_out(tree, files, kept)
                gone = [one.path for one in changes if one.new is None]
                commit: str = await objects.commit(tip, files, kept, gone, message)
            if commit != tip:
                _unlock(repository.common / "refs" / "heads" / record.branch)
                await run_git(
                    (f"--git-dir={repository.common}", "update-ref", f"refs/heads/{record.branch}", commit, tip),
                    self._folder,
                )
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
                _unlock(common / "refs" / "heads" / record.branch)
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


class _ObjectWriter:
    """Writes objects into the user's repository, through a repository of ours that has no settings."""

    def __init__(self, repository: Repository, ours: Path, settings: Sequence[str]) -> None:
        self._repository = repository
        self._ours = ours
        self._settings = settings
        self._index = ours / "commit-index"

    async def tip(self, branch: str) -> str | None:
        """The commit of a branch; None without one."""
        asked = ("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return (await run_git((f"--git-dir={self._repository.common}", *asked), self._ours)).decode().strip() or None

    async def commit_of_present_state(self, source: Path, run_id: str, own: Sequence[Path]) -> str:
        """The checked-out commit, or one on top of it with what is not committed yet in the user's tree. Files that
        hold secrets by their names are left out."""
        repository, index = self._repository, self._repository.own / "index"
        if index.is_file() and not list(repository.own.glob("sharedindex.*")):
            # With the user's index, git reads only the files that have changed.
            await anyio.to_thread.run_sync(shutil.copyfile, index, self._index)
        else:
            await self._git("read-tree", repository.head)
        excluded = [f":(exclude,icase,glob)**/{name}" for name in SECRET_FILES]
        top = repository.top.resolve()
        inside = [folder.resolve() for folder in own if top in folder.resolve().parents]
        excluded += [f":(exclude,literal){folder.relative_to(top)}" for folder in inside]
        await self._git("add", "--all", "--ignore-errors", "--", ".", *excluded, work_tree=top, bearable=(1,))
        message = f"Work in {source.name} that was not committed when {run_id} began\n\nRun-Id: {run_id}\n"
        return await self._committed(repository.head, message)

    async def commit(self, parent: str, files: Path, kept: Sequence[str], gone: Sequence[str], message: str) -> str:
        """A commit in which some files are those in a folder, and some are gone; the parent if nothing differs."""
        await self._git("read-tree", parent)
        # First what is gone: a folder may have come in the place of a file.
        if gone:
            await self._git("update-index", "-z", "--force-remove", "--stdin", work_tree=files, given=_zeroed(gone))
        if kept:
            how = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
            await self._git("--literal-pathspecs", "add", *how, work_tree=files, given=_zeroed(kept))
        return await self._committed(parent, message)

    async def _committed(self, parent: str, message: str) -> str:
        tree = (await self._git("write-tree", "--missing-ok")).strip()
        if tree == (await self._git("rev-parse", f"{parent}^{{tree}}")).strip():
            return parent
        return (await self._git("commit-tree", tree, "-p", parent, given=message.encode("utf-8", "replace"))).strip()

    async def _git(
        self, *arguments: str, work_tree: Path | None = None, given: bytes = b"", bearable: Sequence[int] = ()
    ) -> str:
        name, address = _IDENTITY
        variables = {
            "GIT_INDEX_FILE": str(self._index),
            "GIT_OBJECT_DIRECTORY": str(self._repository.common / "objects"),
            **{f"GIT_{who}_NAME": name for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": address for who in ("AUTHOR", "COMMITTER")},
        }
        where = (f"--git-dir={self._ours}", *((f"--work-tree={work_tree}",) if work_tree else ()))
        printed = await run_git(
            (*self._settings, *where, *arguments),
            work_tree or self._ours,
            given=given,
            variables=variables,
            bearable=bearable,
        )
        return os.fsdecode(printed)


@asynccontextmanager
async def _objects(repository: Repository, below: Path) -> AsyncIterator[_ObjectWriter]:
    """A writer of objects for as long as the block lasts."""
    await anyio.Path(below).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=below, prefix="git-", ignore_cleanup_errors=True) as name:
        ours = Path(name)
        made = ("init", "--quiet", "--bare", "--template=", f"--object-format={repository.object_format}", name)
        await run_git(made, ours)
        exclude = repository.common / "info" / "exclude"
        (ours / "info").mkdir(exist_ok=True)
        if exclude.is_file():
            await anyio.to_thread.run_sync(shutil.copyfile, exclude, ours / "info" / "exclude")
        yield _ObjectWriter(repository, ours, await _settings(repository))


async def _settings(repository: Repository) -> list[str]:
    """The user's settings that change no more than how content is stored, and which files are ignored everywhere."""
    found = []
    for name in _LINE_ENDS:
        # Of the repository alone: our own options, which come first, would answer for everything else.
        asked = (f"--git-dir={repository.common}", "config", "--local", "--get", name)
        value = (await run_git(asked, repository.common, bearable=(1,))).decode().strip()
        found += ["-c", f"{name}={value}"] if value else []
    ignored = Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME", "/nonexistent")) / ".config")
    return [*found, "-c", f"core.excludesFile={ignored / 'git' / 'ignore'}"]


async def _secrets(top: Path) -> list[Path]:
    """Files that hold secrets by their names and are not in the repository: no run needs the user's own keys."""
    listed = await run_git(("-C", str(top), "ls-files", "--others", "--exclude-standard", "-z"), top)
    paths = [os.fsdecode(path) for path in listed.split(b"\0") if path and b"\n" not in path]
    return [top / path for path in paths if any(holds_secrets(part) for part in path.split("/"))]


def _settle(source: Path, top: Path) -> None:
    """Give files the times of the user's, so that what the run writes is told from what was there; and let commands
    find what is installed in the user's tree, which git ignores."""
    for folder, _, files in os.walk(top):
        for name in files:
            here = Path(folder, name)
            with contextlib.suppress(OSError):
                times = (source / here.relative_to(top)).lstat()
                os.utime(here, ns=(times.st_atime_ns, times.st_mtime_ns), follow_symlinks=False)
    for name in _INSTALLED:
        for pattern in (name, f"*/{name}", f"*/*/{name}"):
            for found in source.glob(pattern):
                link = top / found.relative_to(source)
                if found.is_dir() and link.parent.is_dir() and not link.exists():
                    link.symlink_to(found.resolve())


async def _reset_index(repository: Repository, top: Path) -> None:
    """Let the index of a worktree be what its branch has, so that `git status` shows what is not committed."""
    admin = await anyio.to_thread.run_sync(_admin_folder, top, repository.common)
    if admin is not None:
        _unlock(admin / "index")
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


def _unlock(file: Path) -> None:
    """Remove the lock that a killed git has left on a file which nobody but us writes."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)


def _zeroed(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)
