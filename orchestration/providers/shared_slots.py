"""Slots at providers that the processes of a machine share: a limit on calls at once holds for all of them together.

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
from pathlib import Path
from urllib.parse import quote

from orchestration.private_folder import make_private_folder

# Linux has these locks since 3.15; macOS has them under the same names.
_SET, _GET = getattr(fcntl, "F_OFD_SETLK", -1), getattr(fcntl, "F_OFD_GETLK", -1)
# struct flock of <fcntl.h>: type, whence, start, length, process (0 for these locks).
_FLOCK = struct.Struct("hhqqi4x")
_TAKEN = frozenset({errno.EAGAIN, errno.EACCES})
# Marks of waiting processes are behind all slots. So few, because each may have to be looked at.
_MARKS, _MOST_MARKS = 1 << 20, 32
# Twice the time after which waiting processes look again.
_LEFT_SECONDS = 0.05


class SharedSlots:
    """The slots of one provider, as one process has them. Where files cannot be locked, every slot is its own."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._descriptor = -1
        self._taken: list[int] = []
        self._mark = -1
        self._left_until = -math.inf
        self._closing = False

    @property
    def waits(self) -> bool:
        """Whether a slot was wanted that another process has, and none was taken since."""
        return self._mark >= 0

    def take(self, limit: int, now: float) -> bool:
        """Occupy one of `limit` slots; False if other processes have all that are left, or are to have the next one.
        `now` is monotonic."""
        if not self._is_open():
            return True
        try:
            if now >= self._left_until or not self._others_waiting():
                self._left_until = -math.inf
            slot = None if now < self._left_until else self._lock_first(0, limit)
            if slot is None:
                self._set_mark()
                return False
        except OSError:
            self._give_up()
            return True
        self._taken.append(slot)
        self.stop_waiting()
        return True

    def give_back(self, limit: int, now: float) -> None:
        """Free a slot that was taken."""
        if not self._taken:
            return
        try:
            others = self._others_waiting()
            if others and len(self._taken) >= math.ceil(limit / (1 + others)):
                self._left_until = now + _LEFT_SECONDS
            self._unlock(self._taken.pop())
        except OSError:
            self._give_up()
        if self._closing and not self._taken:
            self._give_up()

    def stop_waiting(self) -> None:
        """No call of this process waits for a slot."""
        if self._mark >= 0:
            mark, self._mark = self._mark, -1
            with contextlib.suppress(OSError):
                self._unlock(mark)

    def close(self) -> None:
        """Let go of the file, once the last slot was given back."""
        self._closing = True
        if not self._taken:
            self._give_up()

    def _give_up(self) -> None:
        self._taken.clear()
        self._mark, self._file = -1, None
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _is_open(self) -> bool:
        if self._descriptor < 0 and self._file is not None:
            try:
                make_private_folder(self._file.parent)
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                # A folder that cannot be written to stops no call.
                self._file = None
        return self._descriptor >= 0

    def _lock_first(self, start: int, end: int) -> int | None:
        """Lock the first free byte of a range; None if there is none."""
        own, at = {*self._taken, self._mark}, start
        while at < end:
            if at not in own:
                if self._lock(at):
                    return at
                at = max(at, self._end_of_foreign(at))
            else:
                at += 1
        return None

    def _lock(self, at: int) -> bool:
        try:
            fcntl.fcntl(self._descriptor, _SET, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0))
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def _unlock(self, at: int) -> None:
        fcntl.fcntl(self._descriptor, _SET, _FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, at, 1, 0))

    def _end_of_foreign(self, at: int) -> int:
        """Where the locks of another process end that hold this byte; the byte itself if it has just become free."""
        found = self._foreign(at, 1)
        return at if found is None else found

    def _foreign(self, start: int, length: int) -> int | None:
        """The end of some range that another process has locked within this one."""
        wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, found, size, _ = _FLOCK.unpack(fcntl.fcntl(self._descriptor, _GET, wanted))
        return None if kind == fcntl.F_UNLCK else found + size

    def _others_waiting(self) -> int:
        # Which of several locks is reported is not defined, so they are counted one by one where there are any.
        if self._foreign(_MARKS, _MOST_MARKS) is None:
            return 0
        return sum(self._foreign(mark, 1) is not None for mark in range(_MARKS, _MARKS + _MOST_MARKS))

    def _set_mark(self) -> None:
        if self._mark < 0:
            mark = self._lock_first(_MARKS, _MARKS + _MOST_MARKS)
            self._mark = -1 if mark is None else mark


def slots_in(folder: Path | None, provider: str) -> SharedSlots:
    """The slots of a provider for the processes that use the same folder; without one they are not shared."""
    if folder is None or _SET < 0:
        return SharedSlots(None)
    return SharedSlots(folder / f"{quote(provider, safe='')}.lock")
