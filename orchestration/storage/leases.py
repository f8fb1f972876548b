"""Leases: who is alive, who leads, who holds something. They use the database's clock, so that the clocks of hosts may
differ."""

from __future__ import annotations

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
            if current is not None and current.holder != holder and current.expires_at > now:
                return False
            values = {"holder": holder, "expires_at": now + seconds, "data": dict(data or {})}
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
            return tuple(Lease(row.name, row.holder, row.expires_at > now, row.data) for row in rows)

    def _now(self, connection: sa.Connection) -> float:
        # `now()` of PostgreSQL is the start of the transaction, which may have waited for a lock since.
        clock = "unixepoch('subsec')" if self._database.is_sqlite else "extract(epoch from clock_timestamp())"
        return float(connection.execute(sa.text(f"SELECT {clock}")).scalar_one())
