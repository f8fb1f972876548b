"""How often Python searches memory for garbage, and when what is free goes back to the system."""

from __future__ import annotations

import ctypes
import gc

# The default searches after 700 new objects. Importing this program makes hundreds of thousands, all of which stay:
# searching them again and again took a fifth of the start of a short command. Unused objects that refer to each other
# wait a little longer now, a few megabytes in all.
_NEW_OBJECTS = 50_000


def collect_less_often() -> None:
    """Let a program start faster. Called first thing by each program."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


def return_free_memory() -> None:
    """Give memory that is free back to the system, after much of it was used for a while. Takes some milliseconds.

    The allocator of glibc keeps it for each thread that has used it, for the next time.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc alone: malloc_trim(3)
    if trim is not None:
        trim(0)
