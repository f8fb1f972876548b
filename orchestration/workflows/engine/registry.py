"""The kinds of flows of this process, and the functions by which the durable engine calls their bodies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from dbos import DBOS

from orchestration.errors import OrchestratorError
from orchestration.workflows.engine.flow import Flow, FlowBody, as_portable
from orchestration.workflows.engine.kinds import FlowKind
from orchestration.workflows.engine.records import LABEL_QUEUE_PREFIX
from orchestration.workflows.engine.values import from_json, to_json

P = TypeVar("P")

# DBOS would try a hundred times by default. A run that has crashed five processes will crash the sixth.
_CRASHES_BEFORE_GIVING_UP = 5


Place = Callable[[P], str | None]
"""The label on which a flow with this payload runs; None for wherever its parent does."""


@dataclass(frozen=True, slots=True)
class RegisteredFlow:
    """A kind of flow, the body that this process runs for it, and where it runs."""

    kind: FlowKind[Any, Any]
    body: FlowBody[Any, Any]
    place: Place[Any] | None = None


@dataclass(frozen=True, slots=True)
class PlacedFlow:
    """A flow that this process has left to the workers with a label."""

    id: str
    label: str
    payload: Any


registered: dict[str, RegisteredFlow] = {}
placed: dict[str, PlacedFlow] = {}
_at_work: dict[str, asyncio.Task[Any]] = {}


@DBOS.workflow(name="flow", max_recovery_attempts=_CRASHES_BEFORE_GIVING_UP)
async def durable_flow(kind: str, payload: Any) -> Any:
    """The one function that the engine knows; it looks up the body by its kind.

    DBOS stores the name of the function with each workflow. With one function for all kinds, moving or renaming a body
    in our code cannot strand stored flows.
    """
    flow = Flow(str(DBOS.workflow_id), start_flow)
    flow_type, body = registered[kind].kind, registered[kind].body
    async with _alone(flow.id):
        try:
            given = from_json(flow_type.payload, payload, f"the payload of {flow.id}")
            return to_json(flow_type.result, await body(flow, given))
        except OrchestratorError as error:
            raise as_portable(error) from error


@contextlib.asynccontextmanager
async def _alone(flow_id: str) -> AsyncIterator[None]:
    """End what this process still does for the flow: it was cancelled and continued before that was noticed here."""
    me = asyncio.current_task()
    before = _at_work.get(flow_id)
    if before is not None and not before.done():
        before.cancel()
        await asyncio.wait({before})
    if me is not None:
        _at_work[flow_id] = me
    try:
        yield
    finally:
        if _at_work.get(flow_id) is me:
            del _at_work[flow_id]


@DBOS.workflow(name="scheduled")
async def scheduled_flow(at: Any, context: Any) -> Any:
    """The function that the engine's scheduler calls."""
    return await durable_flow(context["kind"], {**context["payload"], "at": str(at)})


async def start_flow(kind: FlowKind[P, Any], payload: P) -> Any:
    """Start a flow, under the identifier that is set for it: in this process, or on a worker with its label."""
    place = registered[kind.name].place
    label = None if place is None else place(payload)
    if label is not None:
        stored = to_json(kind.payload, payload)
        handle = await DBOS.enqueue_workflow_async(LABEL_QUEUE_PREFIX + label, durable_flow, kind.name, stored)
        placed[handle.workflow_id] = PlacedFlow(handle.workflow_id, label, payload)
        return handle
    return await DBOS.start_workflow_async(durable_flow, kind.name, to_json(kind.payload, payload))
