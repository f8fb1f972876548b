"""Files below a folder, reached without ever following a link out of it.

A path is resolved first, so that links inside the folder work, and then walked from the folder's root part by part with
links refused: what is changed between the two steps makes the walk fail instead of leading elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestration.security.permissions import PermissionRefusedError, checked_path, holds_secrets

# Folders that hold nothing an agent should read or change.
SKIPPED = frozenset(
    {".git", "node_modules", ".venv", "venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
)


class SafeFolder:
    """A folder and what is below it. All methods raise PermissionRefusedError for what is not to be touched, and
    OSError for what cannot be done."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def read(self, path: str, at_most: int) -> bytes:
        """The first `at_most` bytes of a regular file."""
        with self._parent(path, writing=False) as (folder, name):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(file, "rb") as stream:
                # Checked on the open file, since a name can be replaced in between. O_NONBLOCK keeps a named pipe from
                # blocking the open until somebody writes to it (fifo(7)).
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise PermissionRefusedError(
                        "path", path, f"expected a file, got '{path}', which is something else"
                    )
                return stream.read(at_most)

    def write(self, path: str, data: bytes, *, executable: bool = False) -> bool:
        """Put a file's content in place, whole or not at all; keeps its mode, while a new file is `executable` or not.
        Returns whether anything changed."""
        with self._parent(path, writing=True) as (folder, name):
            mode = self._mode(folder, name, path)
            if mode is not None and self._same(folder, name, data):
                return False
            # In the same folder, since a rename is atomic only within one file system (rename(2)).
            temporary = f".{secrets.token_hex(8)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            # A new file gets the mode that the umask leaves; one that replaces another is private until it has the
            # other's mode.
            file = os.open(temporary, flags, (0o777 if executable else 0o666) if mode is None else 0o600, dir_fd=folder)
            try:
                with os.fdopen(file, "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    if mode is not None:
                        os.fchmod(stream.fileno(), mode)
                    os.fsync(stream.fileno())
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(temporary, dir_fd=folder)
                raise
            return True

    def set_executable(self, path: str, on: bool) -> None:
        """Let a file be executable for all who may read it, or for nobody."""
        with self._parent(path, writing=False) as (folder, name):
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            try:
                mode = stat.S_IMODE(os.fstat(file).st_mode)
                os.fchmod(file, mode | (mode & 0o444) >> 2 if on else mode & ~0o111)
            finally:
                os.close(file)

    def remove(self, path: str) -> None:
        """Delete a file or a link."""
        with self._parent(path, writing=False, following=False) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def move(self, path: str, target: str) -> None:
        """Rename a file or a folder; folders on the way to the target are made. Raises FileExistsError if the target
        is there."""
        with (
            self._parent(path, writing=False, following=False) as (folder, name),
            self._parent(target, writing=True) as (other, new),
        ):
            # Between this check and the rename the target could appear; only the agents of this run could do that.
            if _is_there(new, other):
                raise FileExistsError(errno.EEXIST, f"'{target}' is there already")
            os.rename(name, new, src_dir_fd=folder, dst_dir_fd=other)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""
        try:
            with self._parent(path, writing=False) as (folder, name):
                return _is_there(name, folder)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def beginnings(self, path: str, at_most: int) -> Iterator[tuple[str, bytes]]:
        """The path of every file below a folder, in order, with the first `at_most` bytes of it. Links are left out,
        and so is what may not be read."""
        with self._opened() as root:
            for here, folders, files, descriptor in os.fwalk(self.resolved(path), dir_fd=root, follow_symlinks=False):
                folders[:] = sorted(name for name in folders if name not in SKIPPED and not holds_secrets(name))
                prefix = "" if here == "." else f"{here.removeprefix('./')}/"
                for name in sorted(files):
                    data = None if holds_secrets(name) else _beginning(name, descriptor, at_most)
                    if data is not None:
                        yield prefix + name, data

    def resolved(self, path: str) -> str:
        """Where a path leads inside the folder, relative to its root, without links in it."""
        return str(self._resolved(path, writing=False))

    def walk(self, path: str, depth: int) -> Iterator[str]:
        """The paths of files below the folder `path`, in order. Folders are named, with a slash, where they are not
        gone into: links, those too deep, and those in which there is nothing."""
        top = self.resolved(path)
        with self._opened() as root:
            if not stat.S_ISDIR(os.stat(top, dir_fd=root, follow_symlinks=False).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, f"expected a folder, got '{path}', which is a file; read it")
            for here, folders, files, descriptor in os.fwalk(top, dir_fd=root, follow_symlinks=False):
                level = len(PurePosixPath(here).relative_to(top).parts)
                prefix = "" if here == "." else f"{here.removeprefix('./')}/"
                folders[:] = sorted(name for name in folders if name not in SKIPPED)
                entered = [name for name in folders if level + 1 < depth and not _is_link(name, descriptor)]
                named = [f"{name}/" for name in folders if name not in entered]
                yield from (prefix + name for name in sorted([*files, *named]))
                if level and not folders and not files:
                    yield prefix
                folders[:] = entered

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield root
        finally:
            os.close(root)

    @contextlib.contextmanager
    def _parent(self, path: str, *, writing: bool, following: bool = True) -> Iterator[tuple[int, str]]:
        """The open folder that holds a path, and the last part of the path, which is a link only if links are not
        followed there."""
        *folders, name = self._resolved(path, writing=writing, following=following).parts or (".",)
        if name == ".":
            raise PermissionRefusedError("path", path, "expected a file, got the workspace itself")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.ExitStack() as stack:
            current = stack.enter_context(self._opened())
            for part in folders:
                if writing:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=current)
                current = os.open(part, flags, dir_fd=current)
                stack.callback(os.close, current)
            yield current, name

    def _resolved(self, path: str, *, writing: bool, following: bool = True) -> PurePosixPath:
        asked = checked_path(path, writing=writing)
        whole = self.root.joinpath(asked)
        real = Path(os.path.realpath(whole if following else whole.parent))
        if not following and asked.parts:
            real /= asked.name
        if not real.is_relative_to(self.root):
            if SKIPPED.intersection(asked.parts):
                # In a worktree, what is installed is a link of ours to where the user has it.
                raise PermissionRefusedError("path", path, f"'{path}' is installed software and no part of the project")
            reason = f"'{path}' leads out of the workspace; that is not allowed"
            raise PermissionRefusedError("path", path, reason, leads_out=True)
        # Checked again: a link inside the workspace may lead to `.git`, or to a file with secrets under a harmless
        # name.
        return checked_path(str(real.relative_to(self.root)), writing=writing)

    def _mode(self, folder: int, name: str, path: str) -> int | None:
        """The mode of the file that is there; None when none is."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            raise PermissionRefusedError("path", path, f"expected a file, got '{path}', which is something else")
        return stat.S_IMODE(found.st_mode)

    def _same(self, folder: int, name: str, data: bytes) -> bool:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        with os.fdopen(file, "rb") as stream:
            return stream.read(len(data) + 1) == data


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _beginning(name: str, folder: int, at_most: int) -> bytes | None:
    """The first bytes of a regular file; None for anything else."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(file, "rb", buffering=0) as stream:
        return stream.read(at_most) if stat.S_ISREG(os.fstat(file).st_mode) else None


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
