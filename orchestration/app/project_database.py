"""Opening a project's database, with one sentence that says why it cannot be opened."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa

from orchestration.config.credentials import EnvironmentCredentials, read_env_file
from orchestration.config.loader import ConfigLoader
from orchestration.config.schema import Configuration
from orchestration.errors import UsageError
from orchestration.storage.database import REPLACING, Database, StorageError
from orchestration.storage.sqlite_file import open_file

# Far longer than any of our own transactions, and short enough for somebody who waits at a prompt.
_LOCK_SECONDS = 5.0
# The durable engine's file is created after ours. If it exists alone, ours is lost, and creating an empty one would
# hide that.
ENGINE_FILE = "engine.db"
DATABASE_FILE = "orchestrator.db"


def open_database(url: str) -> Database:
    """Open the database at a URL, and bring its tables up to date. Raises UsageError if it cannot be used."""
    check_database(url)
    with explained(url):
        database = Database(url)
        database.migrate()
    return database


def database_address(config_file: Path, environment: Mapping[str, str]) -> str:
    """The URL of a project's database, without opening it. Raises UsageError if it is not set."""
    loader = ConfigLoader(config_file)
    credentials = EnvironmentCredentials(environment, read_env_file(loader.root / ".env")[0])
    runtime = (loader.load(credentials.names).configuration or Configuration()).runtime
    name = runtime.database_url_env
    if name is None:
        return f"sqlite:///{loader.root / runtime.state_directory / DATABASE_FILE}"
    url = credentials.get(name)
    if url is None:
        raise UsageError(f"{name} is not set. Put {name}=postgresql+psycopg://… into .env.")
    return url


def check_database(url: str) -> None:
    """Raise UsageError for an SQLite file that is not a database, is gone, or is locked by another program.

    Our own writers are fast, so a lock that lasts is not theirs. Without this check every command would wait for half a
    minute, and then fail somewhere in the middle.
    """
    with explained(url):
        parsed = sa.make_url(url)
        file = Path(parsed.database or "")
        if parsed.get_backend_name() == "sqlite" and file.with_name(REPLACING).exists():
            raise UsageError(
                f"A restore of the database {file} is running, or was interrupted. "
                "Wait for it, or run `orchestrator backups restore BACKUP` again."
            )
        if parsed.get_backend_name() == "sqlite" and not file.exists() and file.with_name(ENGINE_FILE).exists():
            raise UsageError(
                f"The database {file} is missing, although {ENGINE_FILE} exists. Put it back, restore it from a "
                f"backup, or move {ENGINE_FILE} away as well to start from scratch."
            )
        if parsed.get_backend_name() == "sqlite" and file.exists():
            with contextlib.closing(open_file(file, _LOCK_SECONDS)) as connection:
                # Only an attempt to write shows a lock: in WAL mode readers are never held up
                # (https://www.sqlite.org/wal.html).
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Raises UsageError in the place of what a database raises that cannot be used."""
    try:
        yield
    except StorageError as error:
        raise UsageError(f"{_shown(url)}: {error}") from error
    except sa.exc.ArgumentError as error:
        # Without the URL itself: what could not be parsed may still have a password in it.
        raise UsageError("This is not the URL of a database. Expected one such as postgresql+psycopg://…") from error
    except (sqlite3.Error, sa.exc.SQLAlchemyError, OSError) as error:
        raise UsageError(f"The database at {_shown(url)} cannot be used: {_reason(error)}") from error


def _shown(url: str) -> str:
    return sa.make_url(url).render_as_string(hide_password=True).removeprefix("sqlite:///")


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) and error.orig is not None else error
    # The server's message has further lines, with hints for its own tools.
    text = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    advice = {
        "locked": f"and it stayed so for {_LOCK_SECONDS:g} s; close the program that holds it",
        "not a database": "move it away, or restore it from a backup",
        "malformed": "move it away, or restore it from a backup",
        "readonly": "make it writable for this user",
        "unable to open": "make its folder writable for this user",
        "Permission denied": "make it writable for this user",
        "Read-only file system": "set runtime.stateDirectory to a writable folder",
    }
    return text + next((f"; {hint}" for part, hint in advice.items() if part in text), "; check that it is running")
