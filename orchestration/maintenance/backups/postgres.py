"""Copies of a PostgreSQL database, made by `pg_dump` and restored by `pg_restore`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.maintenance.backups import archive
from orchestration.maintenance.backups.manifest import BackupError, DatabaseCopy, OpenedBackup

_DUMP = "database.dump"
# A tool that hangs would hold the lock of the backup folder, and with it every later backup.
_MAX_SECONDS = 6 * 3600.0
# PostgreSQL silently truncates longer identifiers (NAMEDATALEN), so that two names could become one.
_MAX_NAME_LENGTH = 63
# The environment variables of libpq, by the URL option that means the same.
_VARIABLES = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "host": "PGHOST", "options": "PGOPTIONS"}


class PostgresDatabase:
    """A database on a server; ours and the durable engine's tables are both in it."""

    source = "postgresql"

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self._name = str(self._url.database)

    def copy(self, folder: Path, scratch: Path) -> tuple[tuple[DatabaseCopy, ...], str]:  # noqa: ARG002 (it packs as it goes)
        """Dump what is committed at one moment, and count the rows as of the same moment by an exported snapshot."""
        file = folder / _DUMP
        with self._connected(self._name) as connection:
            # The snapshot lasts as long as this transaction, so the connection stays open while `pg_dump` reads
            # (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION).
            connection.execution_options(isolation_level="REPEATABLE READ")
            snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
            rows, version = _rows(connection), _version(connection)
            if version is None:
                raise BackupError("expected the tables of this program in the database, got others")
            # Without owners and privileges, because the roles of this server may not exist on the one it is restored
            # to (https://www.postgresql.org/docs/current/app-pgdump.html).
            arguments = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
            self._run("pg_dump", *arguments, f"--file={file}", database=self._name)
        with file.open("rb") as dumped:
            archive.sync(dumped)
        return (DatabaseCopy(_DUMP, _DUMP, archive.sha256(file), file.stat().st_size, rows),), version

    def restore(self, folder: Path, copies: Sequence[DatabaseCopy], scratch: Path) -> OpenedBackup:
        """Restore into a separate database on the same server, and count its rows."""
        name = self._scratch(scratch)
        self.discard(scratch)
        with self._administering() as connection:
            # From template0: objects that were added to template1 would collide with those of the dump
            # (https://www.postgresql.org/docs/current/app-pgdump.html).
            connection.execute(sa.text(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0"))
        (copy,) = copies
        # `pg_restore` goes on after an error by default, and a partly restored copy could pass for a good one
        # (https://www.postgresql.org/docs/current/app-pgrestore.html).
        arguments = ("--exit-on-error", "--no-owner", "--no-privileges", f"--dbname={name}")
        self._run("pg_restore", *arguments, str(folder / copy.file), database=name)
        with self._connected(name) as connection:
            return OpenedBackup({copy.name: _rows(connection)}, _version(connection))

    def discard(self, scratch: Path) -> None:
        """Drop the scratch database."""
        with self._administering() as connection:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {_quoted(self._scratch(scratch))}"))

    def swap(self, scratch: Path, aside: Path) -> str:
        """Rename both databases in one transaction, so that no moment is without a database of that name."""
        kept = f"{self._name[:30]}_before_{_plain(aside.name)}"[:_MAX_NAME_LENGTH]
        # A database with a session on it cannot be renamed, so this also fails if somebody has connected since the
        # check.
        away = f"ALTER DATABASE {_quoted(self._name)} RENAME TO {_quoted(kept)}"
        known = sa.text("SELECT count(*) FROM pg_database WHERE datname = :name")
        with self._administering("READ COMMITTED") as connection, connection.begin():
            if connection.execute(known, {"name": self._name}).scalar_one():
                connection.execute(sa.text(away))
            new = _quoted(self._scratch(scratch))
            connection.execute(sa.text(f"ALTER DATABASE {new} RENAME TO {_quoted(self._name)}"))
        return f"the database {kept}"

    def users(self) -> tuple[str, ...]:
        """The sessions of others on the database."""
        query = sa.text(
            "SELECT pid, coalesce(nullif(application_name, ''), usename) FROM pg_stat_activity "
            "WHERE datname = :name AND pid <> pg_backend_pid() ORDER BY pid"
        )
        with self._administering() as connection:
            return tuple(f"session {pid} ({who})" for pid, who in connection.execute(query, {"name": self._name}))

    def _scratch(self, scratch: Path) -> str:
        return f"{self._name[:25]}_{_plain(scratch.name)}"[:_MAX_NAME_LENGTH]

    @contextlib.contextmanager
    def _connected(self, database: str) -> Iterator[sa.Connection]:
        # Without a pool: an idle connection would keep the scratch database from being dropped or renamed.
        engine = sa.create_engine(self._url.set(database=database), poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            original = str(getattr(error, "orig", None) or type(error).__name__)
            raise BackupError(f"the database server refused: {original.splitlines()[0]}") from error
        finally:
            engine.dispose()

    # Without a transaction by default: CREATE and DROP DATABASE are not allowed in one
    # (https://www.postgresql.org/docs/current/sql-createdatabase.html).
    @contextlib.contextmanager
    def _administering(self, isolation_level: str = "AUTOCOMMIT") -> Iterator[sa.Connection]:
        """A connection to the server's maintenance database: ours may be missing, or must be unused to be renamed."""
        with self._connected("postgres") as connection:
            connection.execution_options(isolation_level=isolation_level)
            yield connection

    def _run(self, tool: str, *arguments: str, database: str) -> None:
        """Run one of the server's tools. The password is passed in the environment: other users can read arguments."""
        path = shutil.which(tool)
        if path is None:
            raise BackupError(f"expected {tool} on this machine, got none; install PostgreSQL's client programs")
        try:
            done = subprocess.run(  # noqa: S603 (a list of our own, no shell)
                # Without a password the tool would ask for one on a terminal that is not there, and wait.
                [path, "--no-password", *arguments],
                env=self._environment(database),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_MAX_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BackupError(f"{tool} was stopped: it took longer than {_MAX_SECONDS / 3600:g} h") from error
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
            raise BackupError(f"{tool} failed: {lines[0][:500]}")

    def _environment(self, database: str) -> Mapping[str, str]:
        url = self._url
        given = {
            "PGHOST": url.host,
            "PGPORT": None if url.port is None else str(url.port),
            "PGUSER": url.username,
            "PGPASSWORD": None if url.password is None else str(url.password),
            "PGDATABASE": database,
        }
        options = {_VARIABLES[name]: str(value) for name, value in url.query.items() if name in _VARIABLES}
        # Nothing else of the environment: a PGSERVICE or PGHOSTADDR of the user's shell would lead to another server.
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, **{name: value for name, value in given.items() if value is not None}, **options}


def _rows(connection: sa.Connection) -> dict[str, int]:
    query = sa.text(
        "SELECT schemaname, tablename FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY schemaname, tablename"
    )
    return {
        f"{schema}.{table}": connection.execute(
            sa.select(sa.func.count()).select_from(sa.table(table, schema=schema))
        ).scalar_one()
        for schema, table in connection.execute(query).all()
    }


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower()).strip("_")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
