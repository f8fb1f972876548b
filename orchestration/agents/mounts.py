"""The file system as a command sees it, by mounts in a namespace of its own (mount_namespaces(7)).

What is hidden is empty, whatever takes its place later; only the command's own folders can be changed, which holds for
modes, owners and times too; shared memory is its own. Part of `isolation.py`, and like it on the standard library
alone, without the parts that take long to import (so no pathlib).
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False  # that of `typing`, without its import
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_PRIVATE, _BIND, _WITH_BELOW = (1 << 18) | (1 << 14), 4096, 1 << 14
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE, _FROM_HANDLE, _RECURSIVE, _READ_ONLY = 1, 4, 0x8000, 1
_AT_FDCWD = -100
_CREATED_OR_MOVED_HERE = 0x100 | 0x80  # inotify(7)
# As much as the shared memory of a container usually has four times over (64 MB, docker-run(1), is too little for many
# browsers and numeric libraries).
_SHARED_MEMORY = ("/dev/shm", b"size=256m,mode=1777")  # noqa: S108 (the command's own)
# Pseudo terminals are made there, also by programs that only ask for one.
_TERMINALS = "/dev/pts"


def make_private(libc: ctypes.CDLL) -> bool:
    """Keep what is mounted here from appearing in the namespace that this one was copied from."""
    return bool(libc.mount(b"none", b"/", None, _PRIVATE, None) == 0)


class HiddenFiles:
    """Files that appear empty. A mount lasts as long as its file: when another is renamed over that, which is how files
    are saved, the new one can be seen (rename(2), mount_namespaces(7)), so it has to be hidden in turn.

    `news` is a descriptor that can be read when there is one, -1 if there never will be; then call `renew`.
    """

    def __init__(self, libc: ctypes.CDLL, files: Sequence[str]) -> None:
        self._libc = libc
        self._files = files
        self.news: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK) if files else -1
        # Watched first, so that nothing comes in between.
        for folder in {os.path.dirname(path) for path in files}:  # noqa: PTH120
            libc.inotify_add_watch(self.news, os.fsencode(folder), _CREATED_OR_MOVED_HERE)
        self.complete = self._cover() and (self.news >= 0 or not files)

    def renew(self) -> None:
        """Hide what has come in the meantime."""
        try:
            os.read(self.news, 65_536)
        except OSError:  # there is no news
            return
        self._cover()

    def _cover(self) -> bool:
        covered = [_cover(self._libc, path) for path in self._files]
        return all(covered)


def hide(libc: ctypes.CDLL, hidden: Iterable[str], kept: Iterable[str]) -> tuple[bool, HiddenFiles]:
    """Make files and folders appear empty, except for the folders that are `kept` below such a folder; what comes to be
    in a folder later is hidden as well.

    Returns whether all of that was possible, and the files. What does not exist needs no hiding, unless it comes later.
    """
    # A link can be replaced, and so can what it points to.
    hidden = sorted({place for path in hidden for place in (os.path.abspath(path), os.path.realpath(path))})  # noqa: PTH100
    folders = [path for path in hidden if os.path.isdir(path)]  # noqa: PTH112
    done = [_hide_folder(libc, folder, [path for path in kept if _is_within(path, folder)]) for folder in folders]
    files = HiddenFiles(libc, [path for path in hidden if path not in folders])
    return all(done) and files.complete, files


def _hide_folder(libc: ctypes.CDLL, folder: str, kept: Sequence[str]) -> bool:
    there = [path for path in kept if os.path.isdir(path)]  # noqa: PTH112
    # Taken hold of before they are out of reach.
    handles = [
        libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _CLONE | os.O_CLOEXEC | _RECURSIVE) for path in there
    ]
    if min(handles, default=0) < 0 or libc.mount(b"none", os.fsencode(folder), b"tmpfs", 0, b"size=1m,mode=755") != 0:
        return False
    moved = []
    for path, handle in zip(there, handles, strict=True):
        os.makedirs(path, exist_ok=True)  # noqa: PTH103
        moved.append(libc.syscall(_MOVE_MOUNT, handle, b"", _AT_FDCWD, os.fsencode(path), _FROM_HANDLE) == 0)
        os.close(handle)
    return all(moved)


def _cover(libc: ctypes.CDLL, path: str) -> bool:
    """Put an empty file in front of one; nothing to do where there is none, or one already."""
    try:
        is_file = os.stat(path).st_mode & 0o170000 != 0o020000  # noqa: PTH116
    except OSError:
        return True
    return not is_file or bool(libc.mount(b"/dev/null", os.fsencode(path), None, _BIND, None) == 0)


def protect(libc: ctypes.CDLL, writable: Iterable[str]) -> bool:
    """Make everything read-only except these files and folders, and the repository of each such folder as well: its
    hooks and settings would be executed by the next `git` of the user. One that is itself `writable` is not.

    Returns whether that was possible.
    """
    own = {os.path.realpath(path): True for path in writable if os.path.exists(path)}  # noqa: PTH110
    repositories = [path for path in (os.path.join(one, ".git") for one in own) if os.path.lexists(path)]  # noqa: PTH118
    changeable = {**dict.fromkeys(repositories, False), **own}
    for path in sorted(changeable, key=len):
        libc.mount(os.fsencode(path), os.fsencode(path), None, _BIND | _WITH_BELOW, None)
    if os.path.isdir(_SHARED_MEMORY[0]):  # noqa: PTH112
        libc.mount(b"none", _SHARED_MEMORY[0].encode(), b"tmpfs", 0, _SHARED_MEMORY[1])
    os.chdir(os.getcwd())  # noqa: PTH109 (onto what has just been mounted there)
    places = {**changeable, _SHARED_MEMORY[0]: True, _TERMINALS: True}
    done = [_make_read_only(libc, mount) for mount in _mounts() if not _is_changeable(mount, places)]
    return all(done)


def _is_changeable(mount: str, places: dict[str, bool]) -> bool:
    """What the nearest of the places above it says. Pure."""
    above = [place for place in places if _is_within(mount, place)]
    return places[max(above, key=len)] if above else False


def _make_read_only(libc: ctypes.CDLL, mount: str) -> bool:
    attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
    done = libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(mount), 0, attributes, len(attributes)) == 0
    return bool(done or mount != "/")  # others may lie below something hidden, or be gone


def _mounts() -> Iterator[str]:
    """Where something is mounted (proc_pid_mountinfo(5): the fifth field, in which octal numbers stand for blanks)."""
    with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123 (pathlib would double the start-up time)
        for line in file:
            field = line.split(b" ")[4]
            yield os.fsdecode(field.decode("latin-1").encode().decode("unicode_escape").encode("latin-1"))


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
