"""A database with all its tables, copied from one that is made once in each process: making them takes far longer."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from orchestration.storage.database import Database


def migrated(url: str) -> Database:
    """The database at this address, with tables; a new SQLite file is a copy, anything else is migrated."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite" and address.database is not None:
        path = Path(address.database)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_template(), path)
    database = Database(url)
    database.migrate()  # nothing is left to be done in a copy
    return database


@cache
def _template() -> Path:
    path = Path(tempfile.mkdtemp(prefix="orchestrator-template-")) / "orchestrator.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    # A copy of the file alone must be whole, so nothing may be left in the write-ahead log.
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path
