"""Alerts, one row for each time that one fired, and what the desk was told of each group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from orchestration.domain.alert_status import AlertStatus
from orchestration.storage.database import Database
from orchestration.storage.identifiers import find_row
from orchestration.storage.tables import alert_groups, alert_inbox, alerts

_MOST_NAMES = 500  # bound parameters of one statement; older SQLite allows 999


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it is kept. `state` is what the alerts package needs to go on with it, as JSON.

    `verdict` is the last decision about it; `muted_by` names the silence or the alert that mutes it.
    """

    id: str
    fingerprint: str
    name: str
    status: AlertStatus
    source: str
    scenario: str
    group_key: str
    labels: Mapping[str, str]
    value: float
    state: Mapping[str, Any]
    since: datetime
    updated_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    verdict: str = ""
    muted_by: str = ""
    drill: bool = False


@dataclass(frozen=True, slots=True)
class GroupRow:
    """What the desk was last told of a group of alerts, as JSON, and when."""

    key: str
    reported: Mapping[str, Any]
    reported_at: datetime


class Alerts:
    """The alerts in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, rows: Sequence[AlertRow], dropped: Collection[str] = (), taken: Collection[int] = ()) -> None:
        """Write new and changed alerts, and delete those with the identifiers `dropped`.

        The deliveries with the sequence numbers `taken` leave the inbox in the same transaction, so that a delivery is
        either still in the inbox or has become an alert. These are single numbers, not all up to the highest: a slow
        transaction may commit a lower number later.
        """
        with self._database.write() as connection:
            if rows:
                connection.execute(self._upsert(alerts, "id"), [_alert_values(row) for row in rows])
            if dropped:
                # Executed once per identifier: a single `IN` may exceed the number of parameters that SQLite allows in
                # a statement (https://sqlite.org/limits.html).
                gone = sa.delete(alerts).where(alerts.c.id == sa.bindparam("gone"))
                connection.execute(gone, [{"gone": name} for name in dropped])
            if taken:
                read = sa.delete(alert_inbox).where(alert_inbox.c.sequence == sa.bindparam("read"))
                connection.execute(read, [{"read": number} for number in taken])

    def save_groups(self, told: Sequence[GroupRow], cleared: Collection[str] = ()) -> None:
        """Keep what the desk was told; forget the groups that were cleared."""
        with self._database.write() as connection:
            if told:
                rows = [
                    {"key": one.key, "reported": dict(one.reported), "reported_at": one.reported_at} for one in told
                ]
                connection.execute(self._upsert(alert_groups, "key"), rows)
            if cleared:
                gone = sa.delete(alert_groups).where(alert_groups.c.key == sa.bindparam("gone"))
                connection.execute(gone, [{"gone": key} for key in cleared])

    def list_groups(self) -> tuple[GroupRow, ...]:
        """All groups that the desk knows of and that are not cleared."""
        with self._database.read() as connection:
            return tuple(GroupRow(**row._mapping) for row in connection.execute(sa.select(alert_groups)))

    def find(self, text: str) -> AlertRow:
        """The one alert whose identifier starts or ends with `text`. Raises NotFoundError."""
        command = "orchestrator alerts list --all"
        return _alert(find_row(self._database, alerts, text, what="an alert", command=command))

    def list(
        self,
        statuses: Collection[AlertStatus] = (),
        *,
        scenario: str | None = None,
        group_key: str | None = None,
        name: str | None = None,
        before: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
    ) -> tuple[AlertRow, ...]:
        """Alerts of the given statuses or of all, newest first; `before` continues after the alert with that id. They
        began `since` and before `until`."""
        query = sa.select(alerts).order_by(alerts.c.since.desc(), alerts.c.id.desc()).limit(limit)
        if statuses:
            query = query.where(alerts.c.status.in_([status.value for status in statuses]))
        for column, wanted in (("scenario", scenario), ("group_key", group_key), ("name", name)):
            if wanted is not None:
                query = query.where(alerts.c[column] == wanted)
        if since is not None:
            query = query.where(alerts.c.since >= since)
        if until is not None:
            query = query.where(alerts.c.since < until)
        # A position and not an offset: alerts that come in while somebody turns the pages would shift every offset.
        if before is not None:
            last = sa.select(alerts.c.since).where(alerts.c.id == before).scalar_subquery()
            query = query.where((alerts.c.since < last) | ((alerts.c.since == last) & (alerts.c.id < before)))
        with self._database.read() as connection:
            return tuple(_alert(row) for row in connection.execute(query))

    def list_of(self, fingerprints: Sequence[str], since: datetime, limit: int = 200) -> tuple[AlertRow, ...]:
        """The alerts with these fingerprints that changed since a time, oldest first."""
        # As many as fit into one statement; a group of more is shown by its first ones.
        some = alerts.c.fingerprint.in_(fingerprints[:_MOST_NAMES])
        query = sa.select(alerts).where(some, alerts.c.updated_at >= since).order_by(alerts.c.since, alerts.c.id)
        with self._database.read() as connection:
            return tuple(_alert(row) for row in connection.execute(query.limit(limit)))

    def list_unfinished(self, ended_after: datetime) -> tuple[AlertRow, ...]:
        """The alerts to continue with after a start: pending and firing ones, and those that ended after a time; oldest
        first."""
        open_ = alerts.c.status != AlertStatus.RESOLVED.value
        # Not `ends_at`: that is by the sender's clock, and may be missing.
        recent = alerts.c.updated_at > ended_after
        query = sa.select(alerts).where(open_ | recent).order_by(alerts.c.since, alerts.c.id)
        with self._database.read() as connection:
            return tuple(_alert(row) for row in connection.execute(query))

    def prune(self, ended_before: datetime) -> int:
        """Delete alerts that were resolved before a time; returns how many."""
        # An alert that still fires is never deleted, however old: after a restart the engine goes on with stored ones.
        old = (alerts.c.status == AlertStatus.RESOLVED.value) & (alerts.c.updated_at < ended_before)
        with self._database.write() as connection:
            return connection.execute(sa.delete(alerts).where(old)).rowcount

    def _upsert(self, table: sa.Table, key: str) -> Any:
        """Insert or update. Both dialects have the same statement, but SQLAlchemy has no common form of it."""
        insert = (sqlite.insert if self._database.is_sqlite else postgresql.insert)(table)
        changed = {column.name: insert.excluded[column.name] for column in table.columns if column.name != key}
        return insert.on_conflict_do_update(index_elements=[key], set_=changed)


def _alert_values(row: AlertRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in alerts.columns} | {
        "status": row.status.value,
        "labels": dict(row.labels),
        "state": dict(row.state),
    }


def _alert(row: sa.Row[Any]) -> AlertRow:
    return AlertRow(**{**row._mapping, "status": AlertStatus(row.status)})
