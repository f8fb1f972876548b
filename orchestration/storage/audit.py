"""The audit trail: who did what, each line chained to the one before it by its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import audit

_BATCH = 5000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line. `outcome` is `done`, `refused` or `failed`; `digest` covers the line and all before it."""

    sequence: int
    at: datetime
    actor: str
    action: str
    outcome: str
    details: Mapping[str, Any]
    digest: str = ""


class AuditTable:
    """The trail in the database; nothing is ever deleted from it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, row: AuditRow, seal: Callable[[str, AuditRow], str]) -> AuditRow:
        """Append a line. Its number and digest depend on the last line, so one writer appends at a time."""
        with self._database.write(exclusive="audit") as connection:
            # Numbered here and not by the database: a sequence of PostgreSQL leaves a gap after a rollback, and
            # verification takes a gap for a removed line
            # (https://www.postgresql.org/docs/current/functions-sequence.html).
            last = connection.execute(sa.select(audit).order_by(audit.c.sequence.desc()).limit(1)).one_or_none()
            values = {column.name: getattr(row, column.name) for column in audit.columns}
            numbered = AuditRow(**values | {"sequence": last.sequence + 1 if last else 1})
            sealed = {**values, "sequence": numbered.sequence, "digest": seal(last.digest if last else "", numbered)}
            connection.execute(sa.insert(audit).values(**sealed))
        return AuditRow(**sealed)

    def list(
        self,
        *,
        actor: str | None = None,
        before: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> tuple[AuditRow, ...]:
        """Lines, newest first; `before` continues after a number. They were written `since` and before `until`."""
        query = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
        if actor is not None:
            query = query.where(audit.c.actor == actor)
        if before is not None:
            query = query.where(audit.c.sequence < before)
        if since is not None:
            query = query.where(audit.c.at >= since)
        if until is not None:
            query = query.where(audit.c.at < until)
        with self._database.read() as connection:
            return tuple(AuditRow(**row._mapping) for row in connection.execute(query))

    def iterate(self) -> Iterator[AuditRow]:
        """Every line, oldest first, read in batches: the trail may not fit into memory."""
        last = 0
        while True:
            query = sa.select(audit).where(audit.c.sequence > last).order_by(audit.c.sequence).limit(_BATCH)
            # A connection for each batch instead of one for the whole trail: an open reader keeps SQLite's write-ahead
            # log from being reset, and there are only two connections (https://sqlite.org/wal.html).
            with self._database.read() as connection:
                rows = [AuditRow(**row._mapping) for row in connection.execute(query)]
            yield from rows
            if len(rows) < _BATCH:
                return
            last = rows[-1].sequence
