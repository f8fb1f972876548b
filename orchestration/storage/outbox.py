"""The outbox: what is to be sent, written in the transaction of the change that it tells of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import outbox


class OutboxState(StrEnum):
    """Where a message stands. `failed` is final: the channel said that it will never work."""

    PENDING = "pending"
    SENT = "sent"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message to one contact on one channel. `key` makes it idempotent: incident, step and channel are in it.

    `stops_on_acknowledge` marks a page: once somebody has acknowledged the incident it must not go out any more.
    """

    key: str
    incident_id: str | None
    kind: str
    contact: str
    channel: str
    address: str | None
    payload: Mapping[str, Any]
    stops_on_acknowledge: bool
    created_at: datetime
    due_at: datetime
    state: OutboxState = OutboxState.PENDING
    attempts: int = 0
    settled_at: datetime | None = None
    detail: str = ""


class Outbox:
    """The messages in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, rows: Sequence[OutboxRow], connection: sa.Connection | None = None) -> int:
        """Write messages; those whose key is known already are left as they are. Returns how many are new.

        With `connection`, in that transaction, so that the change and the messages about it stand or fall together.
        """
        if connection is None:
            with self._database.write() as own:
                return self.put(rows, own)
        keys = [row.key for row in rows]
        known = set(connection.execute(sa.select(outbox.c.key).where(outbox.c.key.in_(keys))).scalars())
        new = list({row.key: row for row in rows if row.key not in known}.values())
        if new:
            connection.execute(sa.insert(outbox), [_values(row) for row in new])
        return len(new)

    def stop_pages(self, incident_id: str, at: datetime, connection: sa.Connection) -> int:
        """Cancel the pages of an incident that have not gone out, in the transaction of its acknowledgement."""
        query = sa.update(outbox).where(
            outbox.c.incident_id == incident_id,
            outbox.c.stops_on_acknowledge,
            outbox.c.state == OutboxState.PENDING.value,
        )
        return connection.execute(query.values(state=OutboxState.CANCELLED.value, settled_at=at)).rowcount

    def of_incident(self, incident_id: str) -> tuple[OutboxRow, ...]:
        """All messages about an incident, oldest first."""
        query = sa.select(outbox).where(outbox.c.incident_id == incident_id).order_by(outbox.c.created_at, outbox.c.key)
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query))


def _values(row: OutboxRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in outbox.columns} | {
        "payload": dict(row.payload),
        "state": row.state.value,
    }


def _row(row: sa.Row[Any]) -> OutboxRow:
    return OutboxRow(**{**row._mapping, "state": OutboxState(row.state)})
