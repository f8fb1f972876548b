"""On-call shifts that people have entered, and what the calendars of rotations have said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.errors import ConflictError
from orchestration.storage.database import Database
from orchestration.storage.identifiers import find_row
from orchestration.storage.tables import oncall_calendars, oncall_overrides


@dataclass(frozen=True, slots=True)
class OnCallOverrideRow:
    """A contact takes the place of whoever is on call in a rotation, from `starts_at` until `ends_at`.

    Both halves of a swap have the same `swap`. One that was cancelled ends at `cancelled_at`.
    """

    id: str
    rotation: str
    contact: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    author: str
    created_at: datetime
    swap: str | None = None
    cancelled_at: datetime | None = None
    cancelled_by: str | None = None

    @property
    def until(self) -> datetime:
        """When it is over, also if it was cancelled."""
        return self.ends_at if self.cancelled_at is None else min(self.ends_at, self.cancelled_at)


@dataclass(frozen=True, slots=True)
class OnCallCalendarRow:
    """The calendar of a rotation as it was read last, at `read_at`; `tried_at` and `problem` are of the last attempt,
    and the problem is empty if that one succeeded."""

    rotation: str
    body: str
    read_at: datetime | None
    tried_at: datetime
    problem: str = ""


class OnCallOverrides:
    """The overrides in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Sequence[OnCallOverrideRow]) -> None:
        """Record overrides, all or none."""
        with self._database.write() as connection:
            connection.execute(sa.insert(oncall_overrides), [_values(row) for row in rows])

    def find(self, text: str) -> OnCallOverrideRow:
        """The one override whose identifier starts or ends with `text`. Raises NotFoundError."""
        command = "orchestrator oncall overrides --all"
        return _override(find_row(self._database, oncall_overrides, text, what="an override", command=command))

    def list(self, ended_after: datetime | None, limit: int = 1_000) -> tuple[OnCallOverrideRow, ...]:
        """Overrides that end after a time, as they were entered; with None, all there were, the newest first."""
        query = sa.select(oncall_overrides).limit(limit)
        if ended_after is None:
            query = query.order_by(oncall_overrides.c.starts_at.desc(), oncall_overrides.c.id)
        else:
            # In this order, because of overlapping ones what was entered last counts.
            over = oncall_overrides.c.cancelled_at
            query = query.where(oncall_overrides.c.ends_at > ended_after, sa.or_(over.is_(None), over > ended_after))
            query = query.order_by(oncall_overrides.c.created_at, oncall_overrides.c.id)
        with self._database.read() as connection:
            return tuple(_override(row) for row in connection.execute(query))

    def cancel(self, override: OnCallOverrideRow, now: datetime, by: str) -> tuple[OnCallOverrideRow, ...]:
        """End an override, also one that has not begun; of a swap, both halves. Returns what was ended; raises
        ConflictError if there was nothing to end."""
        table = oncall_overrides
        same = table.c.swap == override.swap if override.swap else table.c.id == override.id
        lasting = sa.and_(same, table.c.cancelled_at.is_(None), table.c.ends_at > now)
        with self._database.write() as connection:
            rows = tuple(_override(row) for row in connection.execute(sa.select(table).where(lasting)))
            connection.execute(sa.update(table).where(lasting).values(cancelled_at=now, cancelled_by=by))
        if not rows:
            raise ConflictError(f"The override {override.id} is over already.")
        return tuple(replace(row, cancelled_at=now, cancelled_by=by) for row in rows)


class OnCallCalendars:
    """What the calendars have said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> tuple[OnCallCalendarRow, ...]:
        """All calendars that were ever tried."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(oncall_calendars).order_by(oncall_calendars.c.rotation))
            return tuple(OnCallCalendarRow(**row._mapping) for row in rows)

    def save(self, row: OnCallCalendarRow) -> None:
        """Record how an attempt ended."""
        values = {column.name: getattr(row, column.name) for column in oncall_calendars.columns}
        mine = oncall_calendars.c.rotation == row.rotation
        with self._database.write() as connection:
            if not connection.execute(sa.update(oncall_calendars).where(mine).values(**values)).rowcount:
                connection.execute(sa.insert(oncall_calendars).values(**values))


def _values(row: OnCallOverrideRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in oncall_overrides.columns}


def _override(row: sa.Row[Any]) -> OnCallOverrideRow:
    return OnCallOverrideRow(**row._mapping)
