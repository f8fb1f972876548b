"""One database: connections, transactions, and bringing its tables up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from orchestration.errors import OrchestratorError
from orchestration.storage.engines import BUSY_SECONDS, close_engine, make_engine, waiting

T = TypeVar("T")

# The newest file in migrations/versions; a test keeps the two equal. It spares every start the cost of Alembic.
HEAD = "0011"
_TURN_SECONDS = 0.25
_TURNS = int(BUSY_SECONDS / _TURN_SECONDS)
# The name of a file beside an SQLite database that is being replaced: nobody may open that now.
REPLACING = "restore-unfinished"


class StorageError(OrchestratorError):
    """The database cannot be reached or used."""


class UnavailableError(SQLAlchemyError):
    """The database is known to be away, so it is not even asked: whoever bears an outage bears this too."""


class Database:
    """Our tables. Repositories hold one of these and do the rest; nothing outside `storage/` writes SQL."""

    def __init__(self, url: str, *, pool_size: int | None = None) -> None:
        self.url = url
        self.engine = make_engine(url, pool_size=pool_size)
        self._barred = ""

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def bar(self, reason: str) -> None:
        """Have everything that is asked of it fail at once rather than wait, until it is barred with no reason. For
        whoever watches it: a lock or a server that hangs would keep every thread for half a minute, and into a file
        that was moved away everything would be written in vain."""
        self._barred = reason

    def _check(self) -> None:
        if self._barred:
            raise UnavailableError(self._barred)

    @contextmanager
    def write(self, *, alone: str | None = None, synced: bool = False) -> Iterator[sa.Connection]:
        """A transaction that may write; committed on a clean exit, rolled back otherwise.

        Who decides by what it reads gives a name in `alone`: of all transactions with that name, one goes at a time. On
        SQLite they all do, and a commit outlives the process; `synced` makes it outlive a loss of power too, at the
        price of waiting for the disk. Raises UnavailableError while it is barred.
        """
        self._check()
        with self.engine.connect() as connection, self._synced(connection, synced), connection.begin():
            if self.is_sqlite:
                self._begin(connection)
            elif alone is not None:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": alone})
            yield connection

    def _begin(self, connection: sa.Connection) -> None:
        """Wait for SQLite's lock, in turns: who waits already when the database is barred must not wait on."""
        with waiting(connection, _TURN_SECONDS):
            for turn in range(1, _TURNS + 1):
                self._check()
                try:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                except OperationalError as error:
                    if turn == _TURNS or "locked" not in str(error.orig):
                        raise
                else:
                    return

    @contextmanager
    def _synced(self, connection: sa.Connection, wanted: bool) -> Iterator[None]:
        if not (wanted and self.is_sqlite):
            yield
            return
        for_all, for_this = "PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL"
        try:
            _outside_a_transaction(connection, for_this)
            yield
        finally:
            _outside_a_transaction(connection, for_all)

    @contextmanager
    def read(self, *, barred: bool = False) -> Iterator[sa.Connection]:
        """A connection for reading; raises UnavailableError while it is `bar`red, unless `barred` says to ask."""
        if not barred:
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
        if current is not None and current > HEAD:
            raise StorageError(
                f"expected a database at version {HEAD} or older, got {current}: it was written by a newer release; "
                "install that release, or point the configuration at another database"
            )
        from alembic import command
        from alembic.config import Config

        settings = Config()
        settings.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.write(alone="migrations") as connection:
            settings.attributes["connection"] = connection
            command.upgrade(settings, HEAD)

    def version(self) -> str | None:
        """The version of the tables; None when there are none yet."""
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    def close(self) -> None:
        """Close every connection, at once or when it is given back. What is asked afterwards is answered over a
        connection of its own."""
        close_engine(self.engine)


def _outside_a_transaction(connection: sa.Connection, statement: str) -> None:
    connection.exec_driver_sql(statement)
    connection.rollback()  # SQLAlchemy has begun one of its own
