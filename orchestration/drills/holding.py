"""`python -m orchestration.drills.holding FILE SECONDS`: hold an SQLite database so that nobody else can use it.

The file is the `-shm` beside a database in WAL mode. The bytes 120 to 127 of it are the locks of readers and writers
(SQLite, "WAL-mode File Format", section 2.3.1); whoever has them all is alone. Nothing is written.
"""

from __future__ import annotations

import fcntl
import sys
import time

_FIRST, _COUNT = 120, 8


def main() -> int:
    """Take the locks one by one, say so, hold them, and end, which gives them back."""
    name, seconds = sys.argv[1], float(sys.argv[2])
    with open(name, "r+b") as file:  # noqa: PTH123 (two lines of a process of its own)
        for place in range(_FIRST, _FIRST + _COUNT):
            fcntl.lockf(file, fcntl.LOCK_EX, 1, place)
        sys.stdout.write("held\n")
        sys.stdout.flush()
        time.sleep(seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
