"""Database connections: SQLite tuned so that many short writers do not hurt each other, or PostgreSQL as it comes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

# A third and fourth connection only make SQLite's single writer lock more contended.
_SQLITE_POOL = 2
# So long a connection waits for others before it gives up.
BUSY_SECONDS = 30.0

_GIVEN_BACK = "checkin"  # codespell:ignore


def make_engine(url: str, *, pool_size: int | None = None) -> sa.Engine:
    """Open a pool of connections to `url` (`sqlite:///path` or `postgresql+psycopg://…`).

    A missing folder for an SQLite file is made.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, pool_size=pool_size or 10, max_overflow=10, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        parsed,
        poolclass=sa.QueuePool,
        pool_size=pool_size or _SQLITE_POOL,
        max_overflow=0,
        pool_timeout=60,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "do_connect", _never_anew(Path(parsed.database or ":memory:")))
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def close_engine(engine: sa.Engine) -> None:
    """Close every connection of a pool: those that a thread still uses when they are given back, and whatever a late
    thread opens as soon as it is done. A pool that was only disposed of keeps those until somebody collects garbage."""
    if not event.contains(engine, _GIVEN_BACK, _close):
        event.listen(engine, _GIVEN_BACK, _close)  # a pool hands its listeners on to the one that follows it
    engine.dispose()


def _close(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
    record.invalidate()


@contextmanager
def waiting(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Within the block, a connection to SQLite waits so long for a lock."""
    raw: Any = connection.connection.dbapi_connection
    _wait(raw, seconds)
    try:
        yield
    finally:
        _wait(raw, BUSY_SECONDS)


def _wait(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")


def _never_anew(file: Path) -> Callable[..., None]:
    """Keep SQLite from making a new file where the one that was open before has gone: what that held would be lost
    without a word."""
    seen = False

    def check(*_arguments: object) -> None:
        nonlocal seen
        if seen and not file.exists():
            raise sqlite3.OperationalError(f"expected the database file {file.name}, which is gone")
        seen = file.name != ":memory:"

    return check


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Python then opens a writing transaction with BEGIN IMMEDIATE: waiting for the lock at the start is safe, being
    # refused it in the middle is not.
    connection.isolation_level = "IMMEDIATE"
    _wait(connection, BUSY_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    # The durable engine asks SQLite for the time: in whole seconds on Python 3.11, which fires its rate limits early,
    # and with a modifier that SQLite before 3.42 does not know. Both forms are answered here to the millisecond.
    plain = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function("strftime", -1, _precise(plain, "strftime", ("%s", "now")))
    connection.create_function("unixepoch", -1, _precise(plain, "unixepoch", ("subsec",)))


def _precise(plain: sqlite3.Connection, name: str, form: tuple[str, ...]) -> Callable[..., Any]:
    """A stand-in for an SQL function: `form` gives the time to the millisecond, all else what SQLite itself gives."""

    def function(*arguments: Any) -> Any:
        if arguments == form:
            return time.time()
        marks = ",".join("?" * len(arguments))
        return plain.execute(f"SELECT {name}({marks})", arguments).fetchone()[0]

    return function
