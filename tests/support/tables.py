"""The tables of a new SQLite database, made from the statements that the migrations come to.

The migrations take a third of a second of processor time, and nearly every test of a program has a database of its own.
What they make of an empty file is always the same, so a process that has forgone them once (`replay_migrations`) makes
it from the finished tables. Whether the migrations themselves are right is tested in `tests/unit/storage`.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from orchestration.storage.database import Database


def replay_migrations() -> None:
    """Make the tables of every SQLite database that is still empty without the migrations from now on."""
    statements = _statements()
    migrate = command.upgrade

    def upgrade(settings: Config, revision: str, **options: Any) -> None:
        connection: sa.Connection = settings.attributes["connection"]
        if connection.dialect.name != "sqlite" or sa.inspect(connection).get_table_names():
            migrate(settings, revision, **options)
            return
        for statement in statements:
            connection.exec_driver_sql(statement)

    command.upgrade = upgrade


def _statements() -> Sequence[str]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-tables-") as folder:
        file = Path(folder) / "orchestrator.db"
        database = Database(f"sqlite:///{file}")
        database.migrate()
        database.close()
        with sqlite3.connect(file) as connection:
            written = tuple(connection.iterdump())
        connection.close()
    return tuple(statement for statement in written if statement not in ("BEGIN TRANSACTION;", "COMMIT;"))
