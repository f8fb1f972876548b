"""What a process says that it runs, in the list of processes (`ps aux | grep agents`).

Linux shows a process's arguments as they stand in its own memory. So the last argument is made long enough for what is
to be said later, and is then written over: no library is needed, and nothing outside that argument is touched.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

MARK = "--runs="
_WIDTH = 100
_ARGUMENTS_START = 45  # of the fields after the name, see proc_pid_stat(5)


def room() -> str:
    """The argument to start a process with, as its last."""
    return MARK + "nothing".ljust(_WIDTH)


def show(text: str) -> bool:
    """Say what this process runs; False where it was not started with room for it, or the system has no such list."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_START + 1])
        arguments = Path("/proc/self/cmdline").read_bytes()
    except (OSError, IndexError, ValueError):
        return False
    place = arguments.rfind(b"\0" + MARK.encode()) + 1
    if place == 0 or end - start != len(arguments) or len(arguments) - place - 1 != len(room()):
        return False
    words = f"{MARK}{text}".encode("ascii", "replace")[: len(room())].ljust(len(room()))
    ctypes.memmove(start + place, words, len(words))
    return True
