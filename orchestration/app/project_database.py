"""Opening a project's database, and saying in one sentence why that cannot be done."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from orchestration.errors import UsageError
from orchestration.storage.database import REPLACING, Database, StorageError

_LOCK_SECONDS = 5.0
# The durable engine's own file. It is made after ours, so where it is alone, ours is lost.
_ENGINE_FILE = "engine.db"


def open_database(url: str) -> Database:
    """The database at an address, with its tables up to date. Raises UsageError for one that cannot be used."""
    check_database(url)
    with _explained(url):
        database = Database(url)
        database.migrate()
    return database


def check_database(url: str) -> None:
    """Raise UsageError for an SQLite file that is none, that is gone, or that another program keeps locked.

    Writers are quick here, so a lock that lasts is not ours; without this look each command would wait half a minute
    and then fail somewhere in the middle.
    """
    with _explained(url):
        parsed = sa.make_url(url)
        file = Path(parsed.database or "")
        if parsed.get_backend_name() == "sqlite" and file.with_name(REPLACING).exists():
            raise UsageError(
                f"expected a database, got {file}, which is just being restored, or was when that broke off; "
                "wait, or run `orchestrator backups restore` once more"
            )
        if parsed.get_backend_name() == "sqlite" and not file.exists() and file.with_name(_ENGINE_FILE).exists():
            raise UsageError(
                f"expected the database {file} beside {_ENGINE_FILE}, got none; put it back, restore it from a backup, "
                f"or move {_ENGINE_FILE} away too to begin anew"
            )
        if parsed.get_backend_name() == "sqlite" and file.exists():
            with contextlib.closing(sqlite3.connect(file, timeout=_LOCK_SECONDS, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise UsageError(f"{_shown(url)}: {error}") from error
    except sa.exc.ArgumentError as error:
        raise UsageError("expected a database's address such as postgresql+psycopg://…, got something else") from error
    except (sqlite3.Error, sa.exc.SQLAlchemyError, OSError) as error:
        raise UsageError(f"expected a database that can be used at {_shown(url)}, got: {_reason(error)}") from error


def _shown(url: str) -> str:
    return sa.make_url(url).render_as_string(hide_password=True).removeprefix("sqlite:///")


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    advice = {
        "locked": f"and it stayed so for {_LOCK_SECONDS:g} s; close the program that holds it",
        "not a database": "move it away, or restore it from a backup",
        "malformed": "move it away, or restore it from a backup",
        "readonly": "give this user the right to write it",
        "unable to open": "give this user the right to write its folder",
        "Permission denied": "give this user the right to write there",
        "Read-only file system": "name a folder that can be written to in runtime.stateDirectory",
    }
    return text + next((f"; {hint}" for part, hint in advice.items() if part in text), "; see that it runs and answers")
