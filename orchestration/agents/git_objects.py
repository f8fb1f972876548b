"""Commits in a git repository of the user's, written through a repository of ours that has no settings.

Nothing that the user's repository configures is executed: no hook, filter or signing program. What is written there is
objects, which git never changes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.agents.workspace import (
    FileChange,
    HelperKilledError,
    WorkspaceError,
    attempted,
    repositories_in,
    run_git,
)
from orchestration.security.permissions import SECRET_FILES

_IDENTITY = "Orchestrator", "orchestrator@localhost"
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


class ObjectWriter:
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

    async def contains(self, newer: str, older: str) -> bool:
        """Whether a commit has another one in its history."""
        asked = ("rev-list", "--max-count=1", older, f"^{newer}")
        return not (await run_git((f"--git-dir={self._repository.common}", *asked), self._ours)).strip()

    async def move(self, branch: str, commit: str, before: str) -> None:
        """Let a branch of ours be at a commit; `before` is where it was. Raises WorkspaceError if it is elsewhere."""
        unlock(self._repository.common / "refs" / "heads" / branch)
        moved = ("update-ref", f"refs/heads/{branch}", commit, before)
        await run_git((f"--git-dir={self._repository.common}", *moved), self._ours)

    async def commit_of_present_state(self, source: Path, run_id: str, own: Sequence[Path], did: str = "began") -> str:
        """The checked-out commit, or one on top of it with what is not committed yet in the user's tree. Files that
        hold secrets by their names are left out. `did` says what the run did then."""
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
        message = f"Work in {source.name} that was not committed when {run_id} {did}\n\nRun-Id: {run_id}\n"
        return await self._committed((repository.head,), message)

    async def commit(
        self,
        base: str,
        files: Path,
        changes: Sequence[FileChange],
        message: str,
        also: Sequence[str] = (),
    ) -> str:
        """A commit on top of another, `base`, with these changes, whose files are in a folder; `base` if nothing
        differs. A merge of it into the commits in `also` is one in any case."""
        kept = [one.path for one in changes if one.new is not None]
        gone = [one.path for one in changes if one.new is None]
        await self._git("read-tree", base)
        # First what is gone: a folder may have come in the place of a file.
        if gone:
            await self._git("update-index", "-z", "--force-remove", "--stdin", work_tree=files, given=_zeroed(gone))
        if kept:
            how = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
            await self._git("--literal-pathspecs", "add", *how, work_tree=files, given=_zeroed(kept))
        return await self._committed((*also, base), message)

    async def _committed(self, parents: Sequence[str], message: str) -> str:
        tree = (await self._git("write-tree", "--missing-ok")).strip()
        if len(parents) == 1 and tree == (await self._git("rev-parse", f"{parents[0]}^{{tree}}")).strip():
            return parents[0]
        named = [word for parent in parents for word in ("-p", parent)]
        return (await self._git("commit-tree", tree, *named, given=message.encode("utf-8", "replace"))).strip()

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
async def object_writer(repository: Repository, below: Path) -> AsyncIterator[ObjectWriter]:
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
        yield ObjectWriter(repository, ours, await _settings(repository))


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


def unlock(file: Path) -> None:
    """Remove the lock that a killed git has left on a file which nobody but us writes."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)


def _zeroed(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)
