"""Slots that the processes of a machine share: a limit on calls at once holds for all of them together.

A slot is a byte of a file, and whoever has locked it has the slot (open file description locks, see fcntl_locking(2)).
The kernel releases the locks of a process that dies, so no slot is ever lost, and nobody has to clean up.

A process in which calls wait for the slots of others marks that in the same way. Whoever has its share and gives a slot
back leaves it to them for a moment: it would otherwise hand each slot to its own next call, and starve the others.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import struct
from hashlib import sha256
from pathlib import Path

from orchestration.private_folder import make_private_folder

# Linux has these locks since 3.15; macOS has them under the same names.
_SET, _GET = getattr(fcntl, "F_OFD_SETLK", -1), getattr(fcntl, "F_OFD_GETLK", -1)
# struct flock of <fcntl.h>: type, whence, start, length, process (0 for these locks).
_FLOCK = struct.Struct("hhqqi4x")
_TAKEN = frozenset({errno.EAGAIN, errno.EACCES})
# Each name has a range of its own, with the marks of waiting processes behind all slots. There are so few marks because
# each may have to be looked at.
_RANGE_BITS, _NAME_BYTES = 22, 5
_MARKS, _MOST_MARKS = 1 << 21, 32
# Twice the time after which waiting processes look again.
_LEFT_SECONDS = 0.05


class LockFile:
    """A file whose bytes processes lock; it stays empty. Where that is not possible, nothing is shared."""

    def __init__(self, path: Path | None) -> None:
        self._path = path if _SET >= 0 else None
        self._descriptor = -1

    def is_open(self) -> bool:
        """Whether bytes can be locked; the file is opened for that."""
        if self._descriptor < 0 and self._path is not None:
            try:
                make_private_folder(self._path.parent)
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                # A folder that cannot be written to stops no call.
                self._path = None
        return self._descriptor >= 0

    def lock(self, at: int) -> bool:
        """Lock a byte; False if another process has it."""
        try:
            fcntl.fcntl(self._descriptor, _SET, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def unlock(self, at: int) -> None:
        """Free a byte."""
        fcntl.fcntl(self._descriptor, _SET, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, at, 1, 0))

    def foreign(self, start: int, length: int) -> int | None:
        """The end of some range that another process has locked within this one. Of several it is not defined which."""
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, found, size, _ = _FLOCK.unpack(fcntl.fcntl(self._descriptor, _GET, wanted))
        return None if kind == fcntl.F_UNLCK else found + size

    def close(self) -> None:
        """Free everything that this process has, and share nothing more."""
        self._path = None
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


class SharedSlots:
    """The slots of one name, as one process has them."""

    def __init__(self, file: LockFile | None, name: str = "") -> None:
        self._file = file or LockFile(None)
        self._base = int.from_bytes(sha256(name.encode()).digest()[:_NAME_BYTES]) << _RANGE_BITS
        self._taken: list[int] = []
        self._mark = -1
        self._left_until = -math.inf

    @property
    def waits(self) -> bool:
        """Whether a slot was wanted that another process has, and none was taken since."""
        return self._mark >= 0

    def take(self, limit: int, now: float) -> bool:
        """Occupy one of `limit` slots; False if other processes have all that are left, or are to have the next one.
        `now` is monotonic."""
        if not self._file.is_open():
            return True
        try:
            if now >= self._left_until or not self._others_waiting():
                self._left_until = -math.inf
            slot = None if now < self._left_until else self._lock_first(0, limit)
            if slot is None:
                self._set_mark()
                return False
        except OSError:
            self._file.close()
            return True
        self._taken.append(slot)
        self.stop_waiting()
        return True

    def give_back(self, limit: int, now: float) -> None:
        """Free a slot that was taken."""
        if not self._taken:
            return
        slot = self._taken.pop()
        with contextlib.suppress(OSError):
            others = self._others_waiting()
            if others and len(self._taken) + 1 >= math.ceil(limit / (1 + others)):
                self._left_until = now + _LEFT_SECONDS
            self._file.unlock(self._base + slot)

    def stop_waiting(self) -> None:
        """No call of this process waits for a slot."""
        if self._mark >= 0:
            mark, self._mark = self._mark, -1
            with contextlib.suppress(OSError):
                self._file.unlock(self._base + mark)

    def _lock_first(self, start: int, end: int) -> int | None:
        """Lock the first free byte of a range; None if there is none."""
        own, at = {*self._taken, self._mark}, start
        while at < end:
            if at in own:
                at += 1
            elif self._file.lock(self._base + at):
                return at
            else:
                at = max(at, self._end_of_foreign(at))
        return None

    def _end_of_foreign(self, at: int) -> int:
        """Where the locks of another process end that hold this byte; the byte itself if it has just become free."""
        found = self._file.foreign(self._base + at, 1)
        return at if found is None else found - self._base

    def _others_waiting(self) -> int:
        if self._file.foreign(self._base + _MARKS, _MOST_MARKS) is None:
            return 0
        marks = range(self._base + _MARKS, self._base + _MARKS + _MOST_MARKS)
        return sum(self._file.foreign(mark, 1) is not None for mark in marks)

    def _set_mark(self) -> None:
        if self._mark < 0:
            mark = self._lock_first(_MARKS, _MARKS + _MOST_MARKS)
            self._mark = -1 if mark is None else mark
