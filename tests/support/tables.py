"""The tables of a new SQLite database, made from the statements that the migrations come to.

The migrations take a third of a second of processor time, and nearly every test of a program has a database of its own.
What they make of an empty file is always the same, so a process makes it from what they have once come to there
(`replay_migrations`). Whether each of them is right is tested in `tests/unit/storage`. The tables of the durable engine
are replayed likewise (`replay_engine_migrations`).
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from dbos._sys_db_sqlite import SQLiteSystemDatabase

from orchestration.storage.database import HEAD, Database


def replay_migrations() -> None:
    """Make the tables of every SQLite database that is still empty without the migrations from now on."""
    statements = _statements()
    migrate = command.upgrade

    def upgrade(settings: Config, revision: str, **options: Any) -> None:
        connection: sa.Connection = settings.attributes["connection"]
        is_new = connection.dialect.name == "sqlite" and not sa.inspect(connection).get_table_names()
        if revision != HEAD or not is_new:
            migrate(settings, revision, **options)
            return
        for statement in statements:
            connection.exec_driver_sql(statement)

    command.upgrade = upgrade


def replay_engine_migrations() -> None:
    """Make the tables of the engine in every SQLite database that is still empty without its migrations from now on."""
    migrate = SQLiteSystemDatabase.run_migrations
    with tempfile.TemporaryDirectory(prefix="orchestrator-tables-") as folder:
        file = Path(folder) / "engine.db"
        made = object.__new__(SQLiteSystemDatabase)
        made.engine = sa.create_engine(f"sqlite:///{file}")
        migrate(made)
        made.engine.dispose()
        statements = _dump(file)

    def run_migrations(database: SQLiteSystemDatabase) -> None:
        with database.engine.begin() as connection:
            # Two processes may begin at once; the second one has to see what the first has made.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            is_new = not sa.inspect(connection).get_table_names()
            for statement in statements if is_new else ():
                connection.exec_driver_sql(statement)
        if not is_new:
            migrate(database)

    SQLiteSystemDatabase.run_migrations = run_migrations  # type: ignore[method-assign]


def _statements() -> Sequence[str]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-tables-") as folder:
        file = Path(folder) / "orchestrator.db"
        database = Database(f"sqlite:///{file}")
        database.migrate()
        database.close()
        return _dump(file)


def _dump(file: Path) -> Sequence[str]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        written = tuple(connection.iterdump())
    return tuple(statement for statement in written if statement not in ("BEGIN TRANSACTION;", "COMMIT;"))
