"""Silences and maintenance windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.errors import ConflictError
from orchestration.storage.database import Database
from orchestration.storage.identifiers import find_row
from orchestration.storage.tables import silences


class SilenceKind(StrEnum):
    """A silence mutes a known problem; a maintenance window is planned ahead."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """Alerts that match all matchers are not reported from `starts_at` until `ends_at`."""

    id: str
    kind: SilenceKind
    matchers: Sequence[str]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str
    created_at: datetime


class Silences:
    """The silences in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, silence: SilenceRow) -> None:
        """Record a silence."""
        values = {column.name: getattr(silence, column.name) for column in silences.columns}
        values |= {"kind": silence.kind.value, "matchers": list(silence.matchers)}
        with self._database.write() as connection:
            connection.execute(sa.insert(silences).values(**values))

    def find(self, text: str) -> SilenceRow:
        """The one silence whose identifier starts or ends with `text`. Raises NotFoundError."""
        command = "orchestrator silences list --all"
        return _silence(find_row(self._database, silences, text, what="a silence", command=command))

    def list(self, now: datetime, *, ended: bool = False, limit: int = 1000) -> tuple[SilenceRow, ...]:
        """Present and future silences, the next to end first; `ended` includes past ones."""
        query = sa.select(silences).order_by(silences.c.ends_at, silences.c.id).limit(limit)
        if not ended:
            query = query.where(silences.c.ends_at > now)
        with self._database.read() as connection:
            return tuple(_silence(row) for row in connection.execute(query))

    def expire(self, silence_id: str, now: datetime) -> None:
        """End a silence now; a future one never starts. Raises ConflictError if it has ended."""
        running = (silences.c.id == silence_id) & (silences.c.ends_at > now)
        with self._database.write() as connection:
            ended = connection.execute(sa.update(silences).where(running).values(ends_at=now))
        if not ended.rowcount:
            raise ConflictError(f"Silence {silence_id} has already ended.")

    def prune(self, ended_before: datetime) -> int:
        """Delete silences that ended before a time; returns how many."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(silences).where(silences.c.ends_at < ended_before)).rowcount


def _silence(row: sa.Row[Any]) -> SilenceRow:
    return SilenceRow(**{**row._mapping, "kind": SilenceKind(row.kind), "matchers": tuple(row.matchers)})
