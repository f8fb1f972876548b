"""Moving all records, the engine's checkpoints among them, to another database: counted and checksummed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from orchestration.app.project import ProjectRecords
from orchestration.app.project_database import open_database
from orchestration.errors import ConflictError, UsageError
from orchestration.storage.database import Database
from orchestration.storage.tables import leases, metadata
from orchestration.storage.transfer import TableDigest, copy_tables, digest, filled
from orchestration.workflows.processes import control_processes, live_processes

# They belong to processes of now, not to records.
_NOT_MOVED = frozenset({leases.name})


def move(project: ProjectRecords, url: str, report: Callable[[TableDigest], None]) -> int:
    """Copy everything to an empty database; returns how many rows. What is here stays as it is.

    Raises ConflictError while processes of the project are running, or if the target holds records, UsageError if it
    cannot be used, and TransferError if something other than was sent has arrived; the target is unchanged then.
    """
    _check_idle(project)
    if sa.make_url(url).get_backend_name() == "sqlite":
        raise UsageError("The target is a file. Records are moved to a PostgreSQL database.")
    rows = 0
    with contextlib.closing(open_database(url)) as target:
        for moved in _copied(project, target):
            report(moved)
            rows += moved.rows
    return rows


def tables_of(database: Database) -> Iterator[TableDigest]:
    """Count and checksum each table of the records."""
    with database.read() as connection:
        for table in metadata.sorted_tables:
            yield digest(connection, table)


def _check_idle(project: ProjectRecords) -> None:
    running = len(live_processes(project.leases)) + len(control_processes(project.leases))
    if running:
        raise ConflictError(
            f"{running} processes of this project are running. Stop `orchestrator serve` and its workers first."
        )


def _copied(project: ProjectRecords, target: Database) -> list[TableDigest]:
    tables = [table for table in metadata.sorted_tables if table.name not in _NOT_MOVED]
    # The engine's are committed first: without our own, the target still counts as empty.
    with project.database.read() as before, target.write(exclusive="move") as after:
        _check_empty(filled(after, tables))
        # One view of the source for the copy and the checksum: this process itself writes events meanwhile.
        before.exec_driver_sql("BEGIN")
        own = list(copy_tables(before, after, tables))
        return [*own, *_engine(project.engine_url, target.url)]


def _engine(source_url: str, target_url: str) -> list[TableDigest]:
    # The durable engine takes a second to import, which no other command of this group has to wait for.
    from orchestration.workflows.engine.transfer import engine_tables, opened

    with opened(source_url) as source, opened(target_url) as target:
        tables = engine_tables()
        with source.connect() as before, target.begin() as after:
            # Its own tables are not empty when they have just been made: the release of the engine is in one.
            for table in reversed(tables):
                after.execute(sa.delete(table))
            return list(copy_tables(before, after, tables))


def _check_empty(names: list[str]) -> None:
    if names:
        raise ConflictError(
            f"The target holds records already ({', '.join(names[:3])}). Name an empty database to move to."
        )
