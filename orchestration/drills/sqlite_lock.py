"""Keeps an SQLite file locked against writers: `python -m orchestration.drills.sqlite_lock FILE SECONDS`."""

from __future__ import annotations

import sqlite3
import sys
import time
from contextlib import closing

import click


def main(file: str, seconds: str) -> None:
    """Lock the file, print that, and release it after so many seconds."""
    # With `isolation_level=None` Python begins no transaction of its own. BEGIN IMMEDIATE
    # takes the write lock at once, without a write.
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # Not in the words of SQLite's own error, which is what is waited for otherwise.
        click.echo("holds the lock")
        time.sleep(float(seconds))
        connection.execute("ROLLBACK")


if __name__ == "__main__":
    main(*sys.argv[1:3])
