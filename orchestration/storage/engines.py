"""Database connections: SQLite tuned for many short writers, or PostgreSQL with its defaults."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from orchestration.private_folder import make_private_folder
from orchestration.storage.outage import GoneError

# SQLite has one writer. More connections only contend for its lock: with a pool of 20, the 99th percentile of a write
# was four to five times that with a pool of 2.
_SQLITE_POOL = 2
# How long a connection waits for a lock before it gives up.
BUSY_SECONDS = 30.0

_RETURNED = "checkin"  # codespell:ignore


def make_engine(url: str, *, pool_size: int | None = None) -> sa.Engine:
    """Open a pool of connections to `url` (`sqlite:///path` or `postgresql+psycopg://…`).

    The folder of an SQLite file is created if it is missing.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        # Without the ping, the first statement after a restart of the server fails on each pooled connection.
        return sa.create_engine(parsed, pool_size=pool_size or 10, max_overflow=10, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        make_private_folder(Path(parsed.database).parent)
    engine = sa.create_engine(
        parsed,
        # The default pool for files would open any number of connections.
        poolclass=sa.QueuePool,
        pool_size=pool_size or _SQLITE_POOL,
        max_overflow=0,
        pool_timeout=60,
        # The pool lends a connection to any thread, one at a time; sqlite3 would refuse all but the one that opened it.
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )
    event.listen(engine, "do_connect", _refuse_new_file(Path(parsed.database or ":memory:")))
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def close_engine(engine: sa.Engine) -> None:
    """Close every connection of a pool: those in use when they are returned, and those that a late thread opens as soon
    as it is done. `dispose` alone leaves these open until the garbage collector finds them."""
    if not event.contains(engine, _RETURNED, _close):
        event.listen(engine, _RETURNED, _close)  # the pool that replaces this one inherits its listeners
    engine.dispose()


def _close(_connection: object, record: sa.pool.ConnectionPoolEntry) -> None:
    record.invalidate()


@contextmanager
def waiting(connection: sa.Connection, seconds: float) -> Iterator[None]:
    """Let a connection to SQLite wait this long for a lock, inside the block."""
    raw: Any = connection.connection.dbapi_connection
    _wait(raw, seconds)
    try:
        yield
    finally:
        _wait(raw, BUSY_SECONDS)


def _wait(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")


def _refuse_new_file(file: Path) -> Callable[..., None]:
    """Keep SQLite from creating an empty file where the one that was open before is gone: every record would then seem
    to be lost, without any error."""
    seen = False

    def check(*_arguments: object) -> None:
        nonlocal seen
        # The first connection may create the file, as in a new project; only a later one must find it.
        if seen and not file.exists():
            raise GoneError(f"the database file {file.name} is gone")
        seen = file.name != ":memory:"

    return check


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Python then opens a transaction with BEGIN IMMEDIATE, so that it waits for the lock at its start. A deferred one
    # that reads first and then writes fails at once if another has written meanwhile; SQLite does not wait there,
    # whatever the busy timeout: https://sqlite.org/lang_transaction.html#deferred_immediate_and_exclusive_transactions
    connection.isolation_level = "IMMEDIATE"
    _wait(connection, BUSY_SECONDS)
    # Readers do not block the writer, and a commit does not wait for the disk: it survives a crash of the process, and
    # after a loss of power the database is intact but may lack the last commits: https://sqlite.org/wal.html
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")  # off by default, and per connection
    # The durable engine reads the time from SQLite. On Python 3.11 it does so in whole seconds, so its rate limits fire
    # early; on later ones it uses the modifier 'subsec', which SQLite before 3.42 (Debian 12 has 3.40) does not know,
    # so its start fails. Both forms are answered here, to the millisecond.
    # A separate connection computes all other forms: a replaced function cannot call what it has replaced.
    plain = sqlite3.connect(":memory:", check_same_thread=False)
    connection.create_function("strftime", -1, _precise(plain, "strftime", ("%s", "now")))
    connection.create_function("unixepoch", -1, _precise(plain, "unixepoch", ("subsec",)))


def _precise(plain: sqlite3.Connection, name: str, form: tuple[str, ...]) -> Callable[..., Any]:
    """A replacement of an SQL function: for the arguments `form` the time to the millisecond, for others SQLite's own
    result."""

    def function(*arguments: Any) -> Any:
        if arguments == form:
            return time.time()
        marks = ",".join("?" * len(arguments))
        return plain.execute(f"SELECT {name}({marks})", arguments).fetchone()[0]

    return function
