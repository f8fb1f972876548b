"""A log file that several processes append to, and that is rotated under the eyes of `tail -f`.

Rotation copies the file and then empties it: after a rename `tail -f` would go on reading the old file. Every append
opens the file anew and holds a lock on it, so there is nothing to go stale when somebody deletes it, and no lock file
that a clean-up could take away.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

# About a second in all: others hold the lock for one line or one rotation, unless they are stopped.
_LOCK_ATTEMPTS = 1000
_LOCK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class LogRotation:
    """When a file is rotated and what becomes of the old ones.

    `pause` is how long, in seconds, everyone waits before and after the file is emptied, so that a `tail -f` reads the
    last lines and notices that the file begins again.
    """

    max_bytes: int = 20_000_000
    keep: int = 10
    compress: bool = False
    pause: float = 0.1


class LogFile:
    """One file. Not for several threads at once: the handler above has a lock."""

    def __init__(self, path: Path, rotation: LogRotation) -> None:
        self._path = path
        self._rotation = rotation
        self._patient = True
        self._rotate_at = rotation.max_bytes

    def append(self, line: str, stamp: str) -> None:
        """Write one line whole, or not at all. `stamp` names the copy if it is time to rotate. Raises OSError."""
        data = f"{line}\n".encode()
        copy = None
        with self._opened() as (file, locked):
            size = os.fstat(file).st_size
            if locked and size and size + len(data) > self._rotate_at:
                copy = self._rotate(file, size, stamp)
            _write_whole(file, data, locked)
        if copy is not None:
            self._tidy(copy)

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, bool]]:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            file = os.open(self._path, flags, 0o640)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, flags, 0o640)
        try:
            yield file, self._lock(file)
        finally:
            os.close(file)  # which unlocks it too

    def _lock(self, file: int) -> bool:
        """Wait for the others, but not for ever: whoever holds the lock may have been stopped.

        Then a line is written without it, which is safe but for a rotation at that very moment; and the next lines do
        not wait at all until the lock can be had again.
        """
        for _ in range(_LOCK_ATTEMPTS if self._patient else 1):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_LOCK_SECONDS)
            else:
                self._patient = True
                return True
        self._patient = False
        return False

    def _rotate(self, file: int, size: int, stamp: str) -> Path | None:
        """Copy and empty the file. Where there is no room for a copy it goes on growing for a while."""
        copy = self._path.with_name(f"{self._path.name}.{stamp}")
        try:
            with open(file, "rb", closefd=False) as source, copy.open("xb") as target:
                source.seek(0)
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
        except FileExistsError:
            return None
        except OSError:
            with suppress(OSError):
                copy.unlink(missing_ok=True)
            self._rotate_at = size + max(1, self._rotation.max_bytes // 10)
            return None
        time.sleep(self._rotation.pause)
        os.ftruncate(file, 0)
        time.sleep(self._rotation.pause)
        self._rotate_at = self._rotation.max_bytes
        return copy

    def _tidy(self, copy: Path) -> None:
        """Pack the new copy, drop the oldest. The line is written by now, so what fails here can wait."""
        with suppress(OSError):
            if self._rotation.compress:
                _pack(copy)
            copies = sorted(self._path.parent.glob(f"{self._path.name}.*"), reverse=True)
            for old in copies[self._rotation.keep :]:
                old.unlink(missing_ok=True)


def _pack(copy: Path) -> None:
    packed = copy.with_name(f"{copy.name}.gz")
    try:
        with copy.open("rb") as source, gzip.open(packed, "wb", compresslevel=5) as target:
            shutil.copyfileobj(source, target)
    except OSError:
        packed.unlink(missing_ok=True)
        raise
    copy.unlink(missing_ok=True)


def _write_whole(file: int, data: bytes, locked: bool) -> None:
    start = os.fstat(file).st_size
    if os.write(file, data) == len(data):
        return
    if locked:  # nobody else has written since, so the torn piece is the end of the file
        os.ftruncate(file, start)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
