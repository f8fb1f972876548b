"""Leases: who is alive, who leads, who holds something. They use the database's clock, so that the clocks of hosts may
differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """A holder's claim on a name, valid while `live`."""

    name: str
    holder: str
    live: bool
    data: Mapping[str, Any]


# A clock that is set back carries every lease into the future. One that expires later than twice its length from now is
# void, or a holder that has died would be waited for until the clock has caught up. One that lives renews its own.
_FURTHEST = 2.0


class Leases:
    """Claims that expire: a holder that stops renewing loses its claim."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, holder: str, seconds: float, data: Mapping[str, Any] | None = None) -> bool:
        """Acquire or renew `name` for `seconds`; False if another holder's claim is still valid."""
        # Without the lock, two processes on PostgreSQL could both find the lease expired, and both hold it.
        with self._database.write(exclusive=f"lease/{name}") as connection:
            now = self._now(connection)
            current = connection.execute(sa.select(leases).where(leases.c.name == name)).one_or_none()
            if current is not None and current.holder != holder and _is_live(current, now):
                return False
            values = {"holder": holder, "expires_at": now + seconds, "seconds": seconds, "data": dict(data or {})}
            if current is None:
                connection.execute(sa.insert(leases).values(name=name, **values))
            else:
                connection.execute(sa.update(leases).where(leases.c.name == name).values(**values))
            return True

    def release(self, name: str, holder: str) -> None:
        """Release `name`, if `holder` still has it: it may have expired, and belong to another by now."""
        with self._database.write() as connection:
            connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.holder == holder))

    def list(self, prefix: str) -> tuple[Lease, ...]:
        """All leases whose name starts with `prefix`, including expired ones."""
        with self._database.read() as connection:
            now = self._now(connection)
            # Expired ones are wanted, too: they are how a process that died without releasing its lease is noticed.
            rows = connection.execute(sa.select(leases).where(leases.c.name.startswith(prefix, autoescape=True)))
            return tuple(Lease(row.name, row.holder, _is_live(row, now), row.data) for row in rows)

    def _now(self, connection: sa.Connection) -> float:
        # `now()` of PostgreSQL is the start of the transaction, which may have waited for a lock since.
        clock = "unixepoch('subsec')" if self._database.is_sqlite else "extract(epoch from clock_timestamp())"
        return float(connection.execute(sa.text(f"SELECT {clock}")).scalar_one())


def _is_live(row: sa.Row[Any], now: float) -> bool:
    # One of the release before this does not say how long it was taken for.
    latest = math.inf if row.seconds is None else now + _FURTHEST * row.seconds
    return bool(now < row.expires_at <= latest)
