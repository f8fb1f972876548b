"""A database with all its tables, copied from one that is made once in each process: making them takes far longer."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from orchestration.storage.database import Database


def migrated(url: str) -> Database:
    """The database at this address, with tables. It is a copy if it is new, in PostgreSQL also if it is empty."""
    address = sa.make_url(url)
    if address.get_backend_name() == "sqlite" and address.database is not None:
        path = Path(address.database)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_template(), path)
    elif address.get_backend_name() == "postgresql" and _is_empty(address):
        _copy_on_server(address)
    database = Database(url)
    database.migrate()  # nothing is left to be done in a copy
    return database


def _is_empty(address: sa.URL) -> bool:
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    empty = not sa.inspect(engine).get_table_names()
    engine.dispose()
    return empty


def _copy_on_server(address: sa.URL) -> None:
    template = _template_on_server(address.set(database="postgres"))
    _command(address, f"DROP DATABASE {address.database}")
    _command(address, f"CREATE DATABASE {address.database} TEMPLATE {template} STRATEGY file_copy")


@cache
def _template_on_server(server: sa.URL) -> str:
    name = f"template_{secrets.token_hex(6)}"
    _command(server, f"CREATE DATABASE {name}")
    database = Database(server.set(database=name).render_as_string(hide_password=False))
    database.migrate()
    database.close()
    return name


def _command(address: sa.URL, command: str) -> None:
    engine = sa.create_engine(address.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(command))
    engine.dispose()


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
