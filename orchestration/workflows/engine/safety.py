"""Changes to the engine before it may be used: no pickle, no chatter, faster and surer cancelling."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NoReturn

import dbos._core
import dbos._serialization
import dbos._sys_db
import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

from orchestration.storage.outage import is_outage

# How often a running step checks whether its flow was cancelled by another process. The engine's own second is too
# slow: a tool has to stop within its limit plus one second.
_CANCEL_POLL_SECONDS = 0.25


# Well below the number of bind parameters that any database takes.
_AT_ONCE = 1000


def _refuse(*_: Any) -> NoReturn:
    raise TypeError(
        "the engine's tables hold a pickle, which is not read because it could run code; "
        "delete the row or restore the database from a backup"
    )


def make_safe() -> None:
    """Apply the changes; repeating them does no harm.

    The engine selects the decoder by a column of the row that it reads (`operation_outputs.serialization`). Whoever can
    insert a row could therefore name pickle and run code, even with a JSON serializer configured. Configuration cannot
    prevent that, so the decoder itself is replaced by one that refuses.
    """
    dbos._serialization.DefaultSerializer.serialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._serialization.DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._core._PREEMPTIBLE_POLL_INTERVAL_SEC = _CANCEL_POLL_SECONDS
    # The engine waits for a lock of SQLite, and for a server of PostgreSQL; a file that is away for some seconds would
    # end every flow that asks for it meanwhile.
    dbos._sys_db.retriable_sqlite_exception = is_outage  # type: ignore[attr-defined, assignment]
    SystemDatabase.get_cancelled_workflow_ids = _not_ours_any_more  # type: ignore[method-assign, assignment]


def _not_ours_any_more(database: SystemDatabase, flow_ids: Sequence[str]) -> set[str]:
    """Which of these flows, at whose steps this process works, are not its own any more.

    The engine asks only for those that are cancelled. One that was cancelled and handed out again in between, or that
    another process has taken over because this one seemed dead, would be worked on twice at the same time.
    """
    table = database.tables.workflow_status
    ours = (table.c.status == "PENDING") & (table.c.executor_id == database.executor_id)
    found: set[str] = set()
    for start in range(0, len(flow_ids), _AT_ONCE):
        some = table.c.workflow_uuid.in_(flow_ids[start : start + _AT_ONCE])
        with database.engine.begin() as connection:
            found.update(connection.execute(sa.select(table.c.workflow_uuid).where(some, ~ours)).scalars())
    return found


def quieten() -> None:
    """Route the engine's log lines from warnings upward through our own logging."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.WARNING)
