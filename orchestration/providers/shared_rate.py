"""A rate limit that the processes of a machine share.

The generic cell rate algorithm (ITU-T I.371, annex A) needs one number: when the limit would be used up no more. It is
kept in a file of eight bytes. Two processes that read it in the same moment may both let a request through: that is
less than a lock would cost, which a process that is stopped while it has it would keep from all others.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

from orchestration.private_folder import make_private_folder

_MINUTE = 60.0
_NUMBER = struct.Struct("d")
# A wait that is computed may end a rounding error too early.
_ROUNDING = 1e-6


class SharedRate:
    """So many units a minute, with bursts of a minute's worth. Without a folder that can be written to, it is this
    process's own."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._own = 0.0

    def take(self, per_minute: float, now: float) -> float:
        """Take a unit, and return 0; if there is none yet, the seconds until there is. `now` is the machine's monotonic
        time, which its processes have in common."""
        interval = _MINUTE / per_minute
        with contextlib.ExitStack() as stack:
            descriptor = self._opened(stack)
            used_up = self._read(descriptor)
            # Later than any that was written since the machine was started: it was written before that, or is damaged.
            if not used_up <= now + _MINUTE + interval:
                used_up = now
            used_up = max(used_up, now) + interval
            wait = used_up - now - max(_MINUTE, interval)
            if wait > _ROUNDING:
                return wait
            self._write(descriptor, used_up)
            return 0.0

    def _opened(self, stack: contextlib.ExitStack) -> int:
        if self._file is None:
            return -1
        try:
            make_private_folder(self._file.parent)
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self._file = None
            return -1
        stack.callback(os.close, descriptor)
        return descriptor

    def _read(self, descriptor: int) -> float:
        if descriptor < 0:
            return self._own
        found = os.pread(descriptor, _NUMBER.size, 0)
        return float(_NUMBER.unpack(found)[0]) if len(found) == _NUMBER.size else 0.0

    def _write(self, descriptor: int, used_up: float) -> None:
        self._own = used_up
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # on a full disk this process goes on by itself
                os.pwrite(descriptor, _NUMBER.pack(used_up), 0)
