"""The inbox of alerts from outside: on the disk before the sender is told that they arrived."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import alert_inbox

# A row holds a whole request, which may take a hundred megabytes once it is read. On SQLite, rows one by one take no
# longer than in larger parts.
_ROWS_AT_ONCE = 1
# As urgent as a P3.
LEAST_URGENT = 3


@dataclass(frozen=True, slots=True)
class InboxDelivery:
    """One delivery of a sender: alerts as JSON, in their order.

    `urgency` is the number of the worst severity that fires in it.
    """

    source: str
    received_at: datetime
    notices: Sequence[Mapping[str, Any]]
    sequence: int = 0
    urgency: int = LEAST_URGENT


class AlertInbox:
    """Deliveries that have not become alerts yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, *deliveries: InboxDelivery) -> None:
        """Write deliveries in one transaction, which is one wait for the disk; on return they are on the disk. If the
        database raises, none is stored."""
        rows = [
            {
                "source": delivery.source,
                "received_at": delivery.received_at,
                "notices": list(delivery.notices),
                "urgency": delivery.urgency,
            }
            for delivery in deliveries
        ]
        # The sender drops its copy once it has our 2xx, so this commit has to survive a loss of power as well.
        # Alertmanager repeats a delivery only after a 5xx or a network error.
        with self._database.write(synced=True) as connection:
            connection.execute(sa.insert(alert_inbox), rows)

    def list(self, at_most: int) -> tuple[InboxDelivery, ...]:
        """The oldest deliveries, until they hold `at_most` alerts or more. They stay in the inbox until `Alerts.save`
        removes them, together with writing the alerts."""
        query = sa.select(alert_inbox).order_by(alert_inbox.c.sequence).limit(at_most)
        result: list[InboxDelivery] = []
        count = 0
        with self._database.read() as connection:
            for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
                result.append(_delivery(row))
                count += len(row.notices)
                # `limit` alone would not bound the memory: it counts rows, and a row may hold thousands of alerts.
                if count >= at_most:
                    break
        return tuple(result)

    def list_urgent(self, urgency: int, without: Collection[int], at_most: int) -> tuple[InboxDelivery, ...]:
        """Deliveries as urgent as this or more so that wait behind a less urgent one, the most urgent first, until they
        hold `at_most` alerts or more; `without` those with these numbers."""
        ahead = alert_inbox.alias("ahead")
        # Not known for the rows of an earlier release, which then have their turn like all others.
        blocked = sa.exists().where(
            ahead.c.sequence < alert_inbox.c.sequence,
            sa.func.coalesce(ahead.c.urgency, LEAST_URGENT) > alert_inbox.c.urgency,
        )
        query = sa.select(alert_inbox.c.sequence).where(alert_inbox.c.urgency <= urgency, blocked)
        result: list[InboxDelivery] = []
        count = 0
        with self._database.read() as connection:
            numbers = connection.execute(query.order_by(alert_inbox.c.urgency, alert_inbox.c.sequence)).scalars().all()
            for number in (number for number in numbers if number not in without):
                row = connection.execute(sa.select(alert_inbox).where(alert_inbox.c.sequence == number)).one_or_none()
                result += [] if row is None else [_delivery(row)]
                count += 0 if row is None else len(row.notices)
                if count >= at_most:
                    break
        return tuple(result)

    def count(self) -> int:
        """The number of waiting deliveries."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(alert_inbox)).scalar_one())


def _delivery(row: sa.Row[Any]) -> InboxDelivery:
    return InboxDelivery(**{**row._mapping, "urgency": LEAST_URGENT if row.urgency is None else row.urgency})
