"""Whether anything waits in a queue of the durable engine, asked cheaply.

A process polls each of its queues several times a second, and almost always in vain. DBOS builds and executes two large
statements each time (`SystemDatabase.start_queued_workflows`), which was a third of what an idle worker spent.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

# The claim that follows decides by priority, version and limits; here anything that waits is a reason to try one.
_WAITS = "ENQUEUED"


def claim_only_what_waits(database: SystemDatabase) -> None:
    """Let the threads of queues claim nothing from a queue in which nothing waits."""
    table = database.tables.workflow_status
    waits = (table.c.queue_name == sa.bindparam("queue"), table.c.status == _WAITS)
    # SQLite uses the engine's partial index only where its condition is repeated word for word.
    query = sa.select(sa.literal(1)).where(*waits, database._in_flight_status_prover()).limit(1)
    database.dequeue_scopes = partial(_scopes, database, query)  # type: ignore[method-assign]


def _scopes(database: SystemDatabase, query: sa.Select[Any], queue: str) -> list[str | None]:
    """The one scope of a database that is not sharded, if there is something to claim."""
    with database.engine.connect() as connection:
        return [None] if connection.execute(query, {"queue": queue}).first() else []
