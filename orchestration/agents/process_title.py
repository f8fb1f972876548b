"""The title of a worker in the list of processes (`ps aux | grep agents`): which runs it is executing.

Linux shows a process's arguments as they are in its own memory (proc_pid_cmdline(5)). So the last argument is made long
enough for later titles and then overwritten in place: no library is needed, and no memory outside that argument is
touched.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

MARK = "--runs="
_WIDTH = 100
_ARGUMENTS_START = 45  # of the fields after the name, see proc_pid_stat(5)


def reserved_argument() -> str:
    """The last argument to start a process with: it reserves the memory for later titles."""
    return MARK + "nothing".ljust(_WIDTH)


def show(text: str) -> bool:
    """Set the title of this process; False if it was started without the reserved argument, or there is no `/proc`."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_START]), int(fields[_ARGUMENTS_START + 1])
        arguments = Path("/proc/self/cmdline").read_bytes()
    except (OSError, IndexError, ValueError):
        return False
    place = arguments.rfind(b"\0" + MARK.encode()) + 1
    if place == 0 or end - start != len(arguments) or len(arguments) - place - 1 != len(reserved_argument()):
        return False
    words = f"{MARK}{text}".encode("ascii", "replace")[: len(reserved_argument())].ljust(len(reserved_argument()))
    ctypes.memmove(start + place, words, len(words))
    return True
