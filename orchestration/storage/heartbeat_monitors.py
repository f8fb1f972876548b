"""Heartbeat monitors: when each heartbeat was heard last, and up to when a server listened for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import heartbeat_listening, heartbeat_monitors

_ONLY = 1
# Two processes that hear of one for the first time must not both insert it.
_ONE_AT_A_TIME = "heartbeat-monitors"


@dataclass(frozen=True, slots=True)
class HeartbeatMonitorRow:
    """What is known of a heartbeat.

    `heard_at` is its last success; `started_at` is set while its job runs, `failed_at` from a failure to the next
    success. `unheard_seconds` is for how long nobody listened since the last success, `gap_until` the end of the last
    such time in which a signal may have been lost. `down_since` is set while it is reported as late or failed.
    """

    name: str
    configured_at: datetime
    heard_at: datetime | None = None
    started_at: datetime | None = None
    failed_at: datetime | None = None
    exit_code: int | None = None
    detail: str = ""
    unheard_seconds: float = 0.0
    gap_until: datetime | None = None
    down_since: datetime | None = None
    reported_at: datetime | None = None


class HeartbeatMonitors:
    """The heartbeats in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> dict[str, HeartbeatMonitorRow]:
        """All of them, by name."""
        with self._database.read() as connection:
            return {
                row.name: HeartbeatMonitorRow(**row._mapping)
                for row in connection.execute(sa.select(heartbeat_monitors))
            }

    def add(self, name: str, now: datetime) -> None:
        """Note that one is expected from now on, unless it is known."""
        with self._database.write(exclusive=_ONE_AT_A_TIME) as connection:
            self._ensure(connection, name, now)

    def remove(self, name: str) -> None:
        """Forget one that is not expected any more."""
        with self._database.write() as connection:
            connection.execute(sa.delete(heartbeat_monitors).where(heartbeat_monitors.c.name == name))

    def record_success(self, name: str, now: datetime) -> None:
        """It was heard; on return that is on the disk."""
        cleared = dict.fromkeys(("started_at", "failed_at", "gap_until"))
        self._record(name, now, heard_at=now, exit_code=0, detail="", unheard_seconds=0.0, **cleared)

    def record_start(self, name: str, now: datetime) -> None:
        """Its job has begun."""
        self._record(name, now, started_at=now)

    def record_failure(self, name: str, now: datetime, exit_code: int | None, detail: str) -> None:
        """Its job has failed; the first failure since the last success counts as the beginning."""
        since = sa.func.coalesce(heartbeat_monitors.c.failed_at, sa.literal(now, heartbeat_monitors.c.failed_at.type))
        self._record(name, now, failed_at=since, exit_code=exit_code, detail=detail, started_at=None)

    def mark_down(self, name: str, since: datetime, now: datetime) -> None:
        """Note that it was reported as late or failed."""
        self._update(name, down_since=since, reported_at=now)

    def mark_up(self, name: str) -> None:
        """Note that its return was reported."""
        self._update(name, down_since=None, reported_at=None)

    def listened_until(self) -> datetime | None:
        """Up to when a server has listened; None if none ever did."""
        with self._database.read() as connection:
            found: datetime | None = connection.execute(sa.select(heartbeat_listening.c.until)).scalar_one_or_none()
            return found

    def listen(
        self,
        now: datetime,
        longest: float,
        after_gap: Callable[[HeartbeatMonitorRow, datetime, datetime], HeartbeatMonitorRow],
    ) -> bool:
        """Note that a server listens now. If none has for more than `longest` seconds, apply `after_gap` to each
        heartbeat in the same transaction; returns whether that was so."""
        with self._database.write(exclusive=_ONE_AT_A_TIME) as connection:
            until: datetime | None = connection.execute(sa.select(heartbeat_listening.c.until)).scalar_one_or_none()
            missed = until is not None and (now - until).total_seconds() > longest
            if until is not None and missed:
                for row in connection.execute(sa.select(heartbeat_monitors)).all():
                    after = after_gap(HeartbeatMonitorRow(**row._mapping), until, now)
                    values = {"unheard_seconds": after.unheard_seconds, "gap_until": after.gap_until}
                    connection.execute(
                        sa.update(heartbeat_monitors).where(heartbeat_monitors.c.name == row.name).values(**values)
                    )
            if until is None:
                connection.execute(sa.insert(heartbeat_listening).values(id=_ONLY, until=now))
            else:
                connection.execute(sa.update(heartbeat_listening).values(until=now))
            return missed

    def _record(self, name: str, now: datetime, **values: Any) -> None:
        # Its sender may do something about a signal that was not taken, and drops one that was.
        with self._database.write(exclusive=_ONE_AT_A_TIME, synced=True) as connection:
            self._ensure(connection, name, now)
            connection.execute(sa.update(heartbeat_monitors).where(heartbeat_monitors.c.name == name).values(**values))

    def _update(self, name: str, **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(sa.update(heartbeat_monitors).where(heartbeat_monitors.c.name == name).values(**values))

    def _ensure(self, connection: sa.Connection, name: str, now: datetime) -> None:
        known = connection.execute(
            sa.select(heartbeat_monitors.c.name).where(heartbeat_monitors.c.name == name)
        ).first()
        if known is None:
            connection.execute(sa.insert(heartbeat_monitors).values(**asdict(HeartbeatMonitorRow(name, now))))
