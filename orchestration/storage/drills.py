"""The history of drills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import drill_runs


@dataclass(frozen=True, slots=True)
class DrillRecord:
    """The result of one drill. `figures` are JSON values; `misses` says in words which expectations it missed."""

    id: str
    drill: str
    scenario: str
    started_at: datetime
    passed: bool
    game_day: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    misses: Sequence[str] = ()


class DrillHistory:
    """The results of drills in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, record: DrillRecord) -> None:
        """Add a result."""
        values = {column.name: getattr(record, column.name) for column in drill_runs.columns}
        values |= {"figures": dict(record.figures), "misses": list(record.misses)}
        with self._database.write() as connection:
            connection.execute(sa.insert(drill_runs).values(**values))

    def list(self, drill: str | None = None, limit: int = 50) -> tuple[DrillRecord, ...]:
        """Results, newest first, of one drill or of all."""
        query = sa.select(drill_runs).order_by(drill_runs.c.started_at.desc(), drill_runs.c.id.desc()).limit(limit)
        if drill is not None:
            query = query.where(drill_runs.c.drill == drill)
        with self._database.read() as connection:
            return tuple(DrillRecord(**row._mapping) for row in connection.execute(query))
