"""Claiming flows that no live process works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from dbos._sys_db import SystemDatabase

from orchestration.workflows.engine.records import FlowStatus


def claim_all(database: SystemDatabase, flows: Sequence[FlowStatus], queue: str, **values: Any) -> int:
    """Put flows that nobody works on into a queue; returns how many were claimed.

    Each claim is a compare-and-set: of several processes that try, one wins, and none does once a live process owns
    the flow. DBOS's own recovery leaves a flow in its previous queue, and the queue of a dead process is polled by
    nobody. `resume_workflow` is no substitute: it resets the crash counter.
    """
    with database.engine.begin() as connection:
        claims = [_claim(database, flow, {**values, "queue_name": queue}) for flow in flows]
        return sum(connection.execute(claim).rowcount for claim in claims)


def _claim(database: SystemDatabase, flow: FlowStatus, values: Mapping[str, Any]) -> sa.Update:
    """The update that claims a flow if its owner is still the one that was seen."""
    table = database.tables.workflow_status
    waits = (table.c.status == "ENQUEUED") & (table.c.queue_name == flow.queue)
    works = (table.c.status == "PENDING") & (table.c.executor_id == flow.executor)
    queued = {"status": "ENQUEUED", "owner_xid": None, "started_at_epoch_ms": None}
    return (
        sa.update(table)
        .where(table.c.workflow_uuid == flow.id, works if flow.working else waits)
        .values(**queued, **values)
    )
