"""Deleting flows that have ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from dbos import DBOS

from orchestration.workflows.engine.records import ENGINE_STATES, OVER, FlowStatus, is_child

# Deleting 1,000 flows takes about 0.1 s, during which SQLite lets nobody else write.
_FORGOTTEN_AT_ONCE = 200

# Which of some flows must stay although they have ended, and a flow with its descendants.
ReadKept = Callable[[Sequence[str]], Awaitable[frozenset[str]]]
ReadTree = Callable[[str], Awaitable[Sequence[FlowStatus]]]


async def forget_ended(before: datetime, kept: ReadKept, read_tree: ReadTree) -> int:
    """Delete the flows that ended before a moment, with their descendants and steps, in batches; returns how many.

    `kept` returns which of the given flows must stay although they have ended, because their runs may be resumed.
    `read_tree` returns a flow with its descendants. DBOS has no retention of its own.
    """
    deleted, passed = 0, 0
    while page := await _page_of_ended(before, passed):
        roots = [flow.workflow_id for flow in page if not is_child(flow)]
        stay = await kept(roots)
        trees = [await read_tree(flow_id) for flow_id in roots if flow_id not in stay]
        gone = [flow.id for tree in trees if all(flow.state in OVER for flow in tree) for flow in tree]
        if gone:
            await DBOS.delete_workflows_async(gone)
        deleted += len(gone)
        passed += len({flow.workflow_id for flow in page} - set(gone))
    return deleted


async def _page_of_ended(before: datetime, offset: int) -> Sequence[Any]:
    return await DBOS.list_workflows_async(
        status=[name for name, state in ENGINE_STATES.items() if state in OVER],
        completed_before=before.isoformat(),
        load_input=False,
        load_output=False,
        limit=_FORGOTTEN_AT_ONCE,
        offset=offset,
    )
