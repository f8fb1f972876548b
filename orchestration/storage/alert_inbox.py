"""The inbox of alerts from outside: on the disk before the sender is told that they arrived."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import alert_inbox

# One row holds a whole request, which may be several megabytes, so few are fetched from the database at a time.
_ROWS_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class InboxDelivery:
    """One delivery of a sender: alerts as JSON, in their order."""

    source: str
    received_at: datetime
    notices: Sequence[Mapping[str, Any]]
    sequence: int = 0


@dataclass(slots=True)
class _Batch:
    rows: list[dict[str, Any]] = field(default_factory=list)
    written: bool = False
    error: Exception | None = None


class AlertInbox:
    """Deliveries that have not become alerts yet.

    Threads that add at the same time share one transaction, and so one wait for the disk (a group commit): the first to
    get the lock writes for all that wait, and each returns only after the commit.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # Held only to join or to replace the open batch, never during a write: requests that arrive while a batch is
        # committed must be able to join the next one.
        self._joining = threading.Lock()
        self._writing = threading.Lock()
        self._open = _Batch()

    def add(self, delivery: InboxDelivery) -> None:
        """Write a delivery; on return it is on the disk. If the database raises, it is not stored."""
        row = {
            "source": delivery.source,
            "received_at": delivery.received_at,
            "notices": [dict(notice) for notice in delivery.notices],
        }
        with self._joining:
            batch = self._open
            batch.rows.append(row)
        with self._writing:
            # The thread that held the lock before may have written this batch as well.
            if not batch.written:
                self._write(batch)
        if batch.error is not None:
            raise batch.error

    def list(self, at_most: int) -> tuple[InboxDelivery, ...]:
        """The oldest deliveries, until they hold `at_most` alerts or more. They stay in the inbox until `Alerts.save`
        removes them, together with writing the alerts."""
        query = sa.select(alert_inbox).order_by(alert_inbox.c.sequence).limit(at_most)
        result: list[InboxDelivery] = []
        count = 0
        with self._database.read() as connection:
            for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
                result.append(InboxDelivery(**row._mapping))
                count += len(row.notices)
                # `limit` alone would not bound the memory: it counts rows, and a row may hold thousands of alerts.
                if count >= at_most:
                    break
        return tuple(result)

    def count(self) -> int:
        """The number of waiting deliveries."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(alert_inbox)).scalar_one())

    def _write(self, batch: _Batch) -> None:
        with self._joining:
            # Closed before the insert: a row that joined later would be acknowledged without having been written.
            self._open = _Batch()
        try:
            # The sender drops its copy once it has our 2xx, so this commit has to survive a loss of power as well.
            # Alertmanager repeats a delivery only after a 5xx or a network error.
            with self._database.write(synced=True) as connection:
                connection.execute(sa.insert(alert_inbox), batch.rows)
        except Exception as error:  # noqa: BLE001 — handed to every thread of the batch, which raises it
            batch.error = error
        batch.written = True
