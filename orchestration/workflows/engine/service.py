"""The durable engine of one process: it starts, reads and controls flows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread
from dbos import DBOS, PortableWorkflowError, SetEnqueueOptions, SetWorkflowID
from dbos import error as dbos_error

from orchestration.storage.leases import Leases
from orchestration.workflows.engine import retention
from orchestration.workflows.engine.claims import claim_all
from orchestration.workflows.engine.executor import SHARED_QUEUE, ExecutorProcess
from orchestration.workflows.engine.flow import FlowBody, StepError, from_portable
from orchestration.workflows.engine.kinds import FlowKind
from orchestration.workflows.engine.records import (
    LABEL_QUEUE_PREFIX,
    OVER,
    FlowSchedule,
    FlowState,
    FlowStatus,
    StepRecord,
    flow_status,
    is_below,
    step_record,
)
from orchestration.workflows.engine.registry import (
    Place,
    PlacedFlow,
    RegisteredFlow,
    durable_flow,
    placed,
    registered,
    scheduled_flow,
    start_flow,
)
from orchestration.workflows.engine.values import to_json
from orchestration.workflows.processes import NO_PROFILE, WorkerProfile, live_processes

P = TypeVar("P")
R = TypeVar("R")

PRIORITIES = {"high": 1, "normal": 10, "low": 100}


class Engine:
    """One process's part of the durable engine. DBOS is a singleton, so there can be only one in a process at a time.

    `shared` means that this process claims any waiting run (a worker); otherwise it runs only what it started itself
    (the console).
    """

    def __init__(self, url: str, leases: Leases, *, shared: bool = False, profile: WorkerProfile = NO_PROFILE) -> None:
        self._leases = leases
        self._process = ExecutorProcess(url, leases, shared=shared, profile=profile)

    @property
    def executor_id(self) -> str:
        """This process as an executor; another one at each start."""
        return self._process.executor_id

    @property
    def busy(self) -> int:
        """How many flows this process is running."""
        return self._process.busy

    async def drain(self) -> None:
        """Claim nothing more; what was claimed goes on."""
        await self._process.drain()

    def register(self, kind: FlowKind[P, R], body: FlowBody[P, R], place: Place[P] | None = None) -> None:
        """Make the body of a kind of flow known, and the label on which each runs."""
        registered[kind.name] = RegisteredFlow(kind, body, place)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """Launch on the current event loop; on leaving, stop at once and leave unfinished flows resumable."""
        placed.clear()  # like the kinds of flows, it outlives an engine that ran in this process before
        async with self._process.running():
            yield self

    async def start(self, kind: FlowKind[P, Any], flow_id: str, payload: P) -> None:
        """Start a flow in this process. Starting the same identifier again does nothing."""
        with SetWorkflowID(flow_id):
            await start_flow(kind, payload)

    async def enqueue(self, kind: FlowKind[P, Any], flow_id: str, payload: P, priority: str = "normal") -> None:
        """Leave a flow to any worker; urgent flows are claimed first."""
        stored = to_json(kind.payload, payload)
        with SetWorkflowID(flow_id), SetEnqueueOptions(priority=PRIORITIES[priority]):
            await DBOS.enqueue_workflow_async(SHARED_QUEUE, durable_flow, kind.name, stored)

    async def result(self, flow_id: str) -> Any:
        """Wait for a flow to end and return its result, as the JSON that is stored, whatever the kind of the flow.

        Raises StepError when it failed or was cancelled.
        """
        handle: Any = await DBOS.retrieve_workflow_async(flow_id)
        try:
            return await handle.get_result(polling_interval_sec=0.1)
        except PortableWorkflowError as error:
            raise from_portable(error) from error
        except dbos_error.DBOSException as error:
            raise StepError(type(error).__name__, str(error)) from error

    async def cancel(self, flow_id: str) -> None:
        """Stop a flow and its children, including running steps. Committed steps stay, so it can be resumed."""
        # Without `cancel_children` DBOS stops the parent alone, and its agents go on.
        await DBOS.cancel_workflow_async(flow_id, cancel_children=True)

    async def tree(self, flow_id: str) -> tuple[FlowStatus, ...]:
        """A flow and all its descendants, oldest first; empty when it never began."""
        found = await DBOS.list_workflows_async(workflow_id_prefix=flow_id, load_input=False, limit=10_000)
        own = [status for status in found if status.workflow_id == flow_id or is_below(status.workflow_id, flow_id)]
        alive = await self._live_executors()
        return tuple(flow_status(status, alive) for status in own)

    async def states(self, flow_ids: Sequence[str]) -> Mapping[str, FlowState]:
        """The state of each of these flows; those that never started are left out."""
        if not flow_ids:
            return {}
        found = await DBOS.list_workflows_async(workflow_ids=list(flow_ids), load_input=False, load_output=False)
        alive = await self._live_executors()
        return {status.workflow_id: flow_status(status, alive).state for status in found}

    async def waiting_on_labels(self) -> Sequence[PlacedFlow]:
        """The flows that this process has left to the workers with a label, and that none of them has taken."""
        asked = tuple(placed)
        states = await self.states(asked)
        for flow_id in asked:
            if states.get(flow_id) in OVER:
                placed.pop(flow_id, None)
        return [placed[name] for name in asked if states.get(name) is FlowState.QUEUED and name in placed]

    async def steps(self, flow_id: str) -> tuple[StepRecord, ...]:
        """The committed steps of one flow, in order."""
        return tuple(step_record(flow_id, step) for step in await DBOS.list_workflow_steps_async(flow_id))

    async def recover(self, flow_id: str, *, shared: bool = False) -> int:
        """Claim the parts of a flow whose process is gone, however often that has happened; returns how many.

        `shared`, here and below, leaves the flow to the workers; otherwise it continues in this process. Parts that a
        live process owns are left alone: claiming them would run a step twice at the same time.
        """
        orphans = [status for status in await self.tree(flow_id) if status.state is FlowState.INTERRUPTED]
        return await self._claim_all(orphans, self._queue(shared=shared), recovery_attempts=0)

    async def claim(self, flow_id: str, *, shared: bool = False) -> int:
        """Claim the parts of a flow that wait in a queue; returns how many."""
        waiting = [status for status in await self.tree(flow_id) if status.state is FlowState.QUEUED]
        return await self._claim_all(waiting, self._queue(shared=shared))

    async def recover_all(self, wanted: Callable[[str], bool] = lambda _: True) -> int:
        """Claim every flow whose process is gone and whose identifier is wanted; returns how many.

        DBOS recovers only the work of its own executor at launch, never that of other processes. A flow that has
        crashed several times stays as it is.
        """
        pending = await DBOS.list_workflows_async(
            status=["PENDING", "ENQUEUED"], load_input=False, load_output=False, limit=10_000
        )
        alive = await self._live_executors()
        statuses = (flow_status(status, alive) for status in pending)
        orphans = [status for status in statuses if status.state is FlowState.INTERRUPTED and wanted(status.id)]
        return await self._claim_all(orphans, self._process.own_queue)

    async def resume(self, flow_id: str, *, shared: bool = False) -> None:
        """Continue a flow that was cancelled or has crashed too often, with its unfinished children."""
        stopped = (FlowState.CANCELLED, FlowState.CRASHED)
        ids = [status.id for status in await self.tree(flow_id) if status.state in stopped]
        if ids:
            # Without a queue's name DBOS uses an internal queue, which it polls once a second.
            await DBOS.resume_workflows_async(ids, queue_name=self._queue(shared=shared))

    async def rewind(self, flow_id: str, number: int, *, shared: bool = False) -> None:
        """Discard an ended flow's steps from `number` on and run it again from there, under the same identifier."""
        await DBOS.rewind_workflow_async(flow_id, start_step=number, queue_name=self._queue(shared=shared))

    async def fork(self, flow_id: str, number: int, new_id: str, *, shared: bool = False) -> None:
        """Start a new flow that shares the steps before `number` and runs on its own from there."""
        with SetWorkflowID(new_id):
            await DBOS.fork_workflow_async(flow_id, number, queue_name=self._queue(shared=shared))

    async def apply_schedules(self, kind: FlowKind[Any, Any], schedules: Sequence[FlowSchedule]) -> None:
        """Replace the schedules by exactly these; each starts a flow of `kind` on the workers' queue when it is due.

        The flow's payload is that of the schedule with the planned time added under `at`. If several processes run the
        scheduler, one of them starts the flow. A time that passed while no process ran is not made up for.
        """
        wanted = {schedule.name for schedule in schedules}
        for known in await DBOS.list_schedules_async():
            if known["schedule_name"] not in wanted:
                await DBOS.delete_schedule_async(known["schedule_name"])
        await DBOS.apply_schedules_async(
            [
                {
                    "schedule_name": schedule.name,
                    "workflow_fn": scheduled_flow,
                    "schedule": schedule.cron,
                    "cron_timezone": schedule.time_zone,
                    "context": {"kind": kind.name, "payload": schedule.payload},
                    "queue_name": SHARED_QUEUE,
                }
                for schedule in schedules
            ]
        )

    async def forget_ended(self, before: datetime, kept: retention.ReadKept) -> int:
        """Delete the flows that ended before a moment, with their descendants and steps, in batches; returns how many.

        `kept` returns which of the given flows must stay although they have ended, because their runs may be resumed.
        """
        return await retention.forget_ended(before, kept, self.tree)

    async def _live_executors(self) -> frozenset[str]:
        processes = await anyio.to_thread.run_sync(live_processes, self._leases)
        return frozenset(process.executor for process in processes)

    def _queue(self, *, shared: bool) -> str:
        return SHARED_QUEUE if shared else self._process.own_queue

    async def _claim_all(self, flows: Sequence[FlowStatus], queue: str, **values: Any) -> int:
        """Claim flows for a queue; what runs on a label goes back to where a worker with that label finds it."""
        places: dict[str, list[FlowStatus]] = {}
        for flow in flows:
            labelled = flow.queue is not None and flow.queue.startswith(LABEL_QUEUE_PREFIX)
            places.setdefault(str(flow.queue) if labelled else queue, []).append(flow)
        claim = partial(claim_all, self._process.database)
        return sum([await anyio.to_thread.run_sync(partial(claim, own, at, **values)) for at, own in places.items()])
