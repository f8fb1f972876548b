"""Bringing the changes of a run into a folder, or taking them back out of one: all of them or none.

Each file is compared with what it was before the run and after it. Doing it twice changes nothing, so that a process
that was killed in the middle can be repeated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import anyio.to_thread

from orchestration.agents.workspace import FileChange
from orchestration.errors import ConflictError
from orchestration.security.permissions import PermissionRefusedError
from orchestration.security.safe_folder import SafeFolder

_LINK, _EXECUTABLE = "120000", "100755"
_MOST_NAMED = 10
# Both are held in memory while they are merged.
_MOST_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class _Write:
    path: str
    content: bytes | None
    executable: bool


async def transfer(
    root: Path, changes: Sequence[FileChange], blob: Callable[[str], Awaitable[bytes]]
) -> tuple[str, ...]:
    """Make the changes in a folder whose files may have changed otherwise meanwhile; returns the paths that were
    written. Raises ConflictError, with nothing written, if both have changed the same lines."""
    folder = SafeFolder(root)
    planned, conflicts = [], []
    for change in changes:
        try:
            found = await _plan(folder, change, blob)
        except (PermissionRefusedError, OSError, _UnmergeableError):
            conflicts.append(change.path)
        else:
            if found is not None:
                planned.append(found)
    if conflicts:
        more = f" and {len(conflicts) - _MOST_NAMED} more" if len(conflicts) > _MOST_NAMED else ""
        names = ", ".join(conflicts[:_MOST_NAMED]) + more
        raise ConflictError(f"{root} has changed since at the same places, so nothing was changed: {names}")
    await anyio.to_thread.run_sync(_write_all, folder, planned)
    return tuple(one.path for one in planned)


class _UnmergeableError(Exception):
    """A file that cannot be brought together with what is there."""


async def _plan(folder: SafeFolder, change: FileChange, blob: Callable[[str], Awaitable[bytes]]) -> _Write | None:
    """What to write for one file; None if it is as it should be."""
    if _LINK in (change.old_mode, change.new_mode):
        raise _UnmergeableError
    new = None if change.new is None else await blob(change.new)
    old = None if change.old is None else await blob(change.old)
    present = await anyio.to_thread.run_sync(_content, folder, change.path)
    executable = change.new_mode == _EXECUTABLE
    if present == new and (None in (old, new) or change.old_mode == change.new_mode):
        return None
    if present in (old, new):
        return _Write(change.path, new, executable)
    if None in (present, old, new):
        raise _UnmergeableError
    return _Write(change.path, await anyio.to_thread.run_sync(_merged, present, old, new), executable)


def _content(folder: SafeFolder, path: str) -> bytes | None:
    try:
        return folder.read(path, _MOST_BYTES)
    except FileNotFoundError:
        return None


def _merged(present: bytes | None, old: bytes | None, new: bytes | None) -> bytes:
    with tempfile.TemporaryDirectory(prefix="orchestrator-merge-") as name:
        files = [Path(name) / each for each in ("present", "old", "new")]
        for file, content in zip(files, (present, old, new), strict=True):
            file.write_bytes(content or b"")
        # It exits with the number of conflicts: https://git-scm.com/docs/git-merge-file
        done = run(["git", "merge-file", "-p", *map(str, files)], cwd=name, capture_output=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise _UnmergeableError
    return done.stdout


def _write_all(folder: SafeFolder, planned: Sequence[_Write]) -> None:
    for one in planned:
        _write(folder, one)


def _write(folder: SafeFolder, one: _Write) -> None:
    if one.content is None:
        folder.remove(one.path)
        return
    folder.write(one.path, one.content, executable=one.executable)
    folder.set_executable(one.path, one.executable)
