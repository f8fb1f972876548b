"""The latest time that any process has recorded: what another process begins with is no earlier (`SystemClock`)."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import events, incident_entries, leases

# Processes write side by side, so the newest rows are not quite in the order of their times.
_NEWEST = 20
# In the data of a lease: the time of its holder when it was renewed, in seconds since 1970.
TIME_OF_LEASE = "now"


def latest_recorded(database: Database) -> datetime | None:
    """The latest time in the records; None where there are none."""
    newest_events = sa.select(events.c.at).order_by(events.c.sequence.desc()).limit(_NEWEST)
    newest_entries = (
        sa.select(incident_entries.c.written_at).order_by(incident_entries.c.sequence.desc()).limit(_NEWEST)
    )
    # Renewed every few seconds by every control process.
    held = sa.select(leases.c.data)
    with database.read() as connection:
        found = [*connection.execute(newest_events).scalars(), *connection.execute(newest_entries).scalars()]
        times = [data.get(TIME_OF_LEASE) for data in connection.execute(held).scalars()]
    return max([*found, *(datetime.fromtimestamp(at, UTC) for at in times if at is not None)], default=None)
