"""Keeps an SQLite file locked: `python -m orchestration.drills.sqlite_lock FILE SECONDS [IMMEDIATE | EXCLUSIVE]`."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing

import click


def main(file: str, seconds: str, lock: str = "IMMEDIATE") -> None:
    """Lock the file against writers, or with EXCLUSIVE against everybody; print that, and release it after so many
    seconds."""
    # With `isolation_level=None` Python begins no transaction of its own. BEGIN IMMEDIATE
    # takes the write lock at once, without a write.
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
        # In WAL mode BEGIN EXCLUSIVE locks out writers only; the locking mode locks out readers as well:
        # https://www.sqlite.org/pragma.html#pragma_locking_mode
        if lock == "EXCLUSIVE":
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN IMMEDIATE")
        click.echo("locked")
        time.sleep(float(seconds))
        connection.execute("ROLLBACK")


if __name__ == "__main__":
    main(*sys.argv[1:4])
