"""One database: connections, transactions, and bringing its tables up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from orchestration.errors import OrchestratorError
from orchestration.storage.engines import BUSY_SECONDS, close_engine, make_engine, waiting
from orchestration.storage.outage import UnavailableError

T = TypeVar("T")

# The newest file in migrations/versions, which a test keeps equal. A start that finds it need not import Alembic,
# which costs more than all else that a short command does.
HEAD = "0032"
# SQLite waits for its lock inside C, where no other thread can interrupt it. Waiting in slices lets a thread notice
# that the database was suspended meanwhile.
_SLICE_SECONDS = 0.25
_SLICES = int(BUSY_SECONDS / _SLICE_SECONDS)
# A file of this name beside an SQLite database says that a restore is replacing it: it must not be opened then.
REPLACING = "restore-unfinished"


class StorageError(OrchestratorError):
    """The database cannot be reached or used."""


class Database:
    """The tables of this program. Repositories hold one of these; nothing outside `storage/` contains SQL."""

    def __init__(self, url: str, *, pool_size: int | None = None) -> None:
        self.url = url
        self.engine = make_engine(url, pool_size=pool_size)
        self._suspended = ""

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def suspend(self, reason: str) -> None:
        """Let every transaction fail at once until this is called with an empty reason. For the health check of the
        database: a lock or a server that hangs would otherwise hold every thread for half a minute, and what is written
        to a file that was moved away is lost."""
        self._suspended = reason

    def _check(self) -> None:
        if self._suspended:
            raise UnavailableError(self._suspended)

    @contextmanager
    def write(self, *, exclusive: str | None = None, synced: bool = False) -> Iterator[sa.Connection]:
        """A transaction that may write; committed on a clean exit, rolled back otherwise.

        A transaction that decides by what it reads passes a name in `exclusive`: those with the same name run one at a
        time. On SQLite all do, and a commit survives the end of the process; with `synced` it survives a loss of power,
        too, but waits for the disk. Raises UnavailableError while the database is suspended.
        """
        self._check()
        with self.engine.connect() as connection, self._synced(connection, synced), connection.begin():
            if self.is_sqlite:
                self._begin(connection)
            elif exclusive is not None:
                # This kind of lock ends with the transaction, so a process that dies while it holds one blocks nobody:
                # https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": exclusive})
            yield connection

    def _begin(self, connection: sa.Connection) -> None:
        """Wait for SQLite's write lock, in slices."""
        with waiting(connection, _SLICE_SECONDS):
            for number in range(1, _SLICES + 1):
                self._check()
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                except OperationalError as error:
                    # Only a lock is worth waiting for: a full disk or a damaged file would fail the same way in each
                    # slice.
                    if number == _SLICES or "locked" not in str(error.orig):
                        raise
                else:
                    return

    @contextmanager
    def _synced(self, connection: sa.Connection, wanted: bool) -> Iterator[None]:
        if not (wanted and self.is_sqlite):
            yield
            return
        try:
            _outside_a_transaction(connection, "PRAGMA synchronous=FULL")
            yield
        finally:
            # The connection goes back to the pool, where other transactions must not pay for the disk.
            _outside_a_transaction(connection, "PRAGMA synchronous=NORMAL")

    @contextmanager
    def read(self, *, even_suspended: bool = False) -> Iterator[sa.Connection]:
        """A connection for reading. Raises UnavailableError while the database is suspended, unless
        `even_suspended`."""
        # The probe that decides when the suspension ends has to read while everybody else is refused.
        if not even_suspended:
            self._check()
        with self.engine.connect() as connection:
            yield connection

    async def call(self, function: Callable[[], T]) -> T:
        """Run a repository's blocking call in a thread, so that the event loop stays free."""
        return await anyio.to_thread.run_sync(function)

    def migrate(self) -> None:
        """Bring the tables up to date. Raises StorageError when the database is newer than this program."""
        current = self.version()
        if current == HEAD:
            return
        # Versions are numbers of equal length, so comparing them as text is right.
        if current is not None and current > HEAD:
            raise StorageError(
                f"The database is at version {current}, but this release knows versions up to {HEAD}: it was "
                "written by a newer release. Install that release, or configure another database."
            )
        from alembic import command
        from alembic.config import Config

        settings = Config()
        settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        # Several processes may start at once; the second waits, and then finds nothing left to do.
        with self.write(exclusive="migrations") as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, HEAD)

    def version(self) -> str | None:
        """The version of the tables; None when there are none yet."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    def close(self) -> None:
        """Close every connection, those in use when they are returned. Later calls open connections of their own."""
        close_engine(self.engine)


def _outside_a_transaction(connection: sa.Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
    connection.rollback()  # SQLAlchemy starts a transaction before any statement; a PRAGMA has no effect inside one
