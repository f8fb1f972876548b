"""Opens SQLite files that are there already."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal


def open_file(file: Path, seconds: float, mode: Literal["ro", "rw"] = "rw") -> sqlite3.Connection:
    """A connection in autocommit mode that waits so many seconds for a lock. Raises sqlite3.Error.

    `sqlite3.connect` creates what is missing (https://www.sqlite.org/uri.html), also in the place of a file that was
    moved away a moment ago: from then on there are two databases.
    """
    # Without an isolation level Python opens no transactions of its own:
    # https://docs.python.org/3/library/sqlite3.html#transaction-control
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True, timeout=seconds, isolation_level=None)
