"""The durable engine of one process: it starts, stops and controls flows."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer, PortableWorkflowError, SetEnqueueOptions, SetWorkflowID
from dbos import error as dbos_error
from dbos._sys_db import SystemDatabase

from orchestration.errors import OrchestratorError
from orchestration.storage.engines import close_engine, make_engine
from orchestration.storage.leases import Leases
from orchestration.workflows.engine.flow import Flow, FlowBody, StepError, as_portable, from_portable
from orchestration.workflows.engine.kinds import FlowKind
from orchestration.workflows.engine.safety import make_safe, quieten
from orchestration.workflows.engine.values import from_json, to_json
from orchestration.workflows.processes import LEASE_PREFIX, live_processes, this_process

P = TypeVar("P")
R = TypeVar("R")

APPLICATION = "orchestration"
# Fixed on purpose. DBOS takes a hash of the code by default and resumes only work of the same version, so each edit
# would strand unfinished runs: https://docs.dbos.dev/python/tutorials/upgrading-workflows.
APPLICATION_VERSION = "1"
SHARED_QUEUE = "runs"
_OWN_QUEUE_PREFIX = "process-"
# A live process renews five times before its lease expires, so that a slow disk does not look like a crash.
_LEASE_SECONDS = 10.0
_LEASE_RENEWAL_SECONDS = 2.0
# Polling costs 3.5 % of a core per queue and process at 0.1 s. There are two queues.
_QUEUE_POLL_SECONDS = 0.2
# How soon an edited schedule is in force. With the engine's own 30 s a time within the next half minute would be
# missed.
_CALENDAR_POLL_SECONDS = 1.0
# DBOS would try a hundred times by default. A run that has crashed five processes will crash the sixth.
_CRASHES_BEFORE_GIVING_UP = 5
# Deleting 1,000 flows takes about 0.1 s, during which SQLite lets nobody else write.
_FORGOTTEN_AT_ONCE = 200

PRIORITIES = {"high": 1, "normal": 10, "low": 100}


class FlowState(StrEnum):
    """The state of a flow. The engine's own names are in `_STATES`."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CRASHED = "crashed"


_STATES = {
    "ENQUEUED": FlowState.QUEUED,
    "DELAYED": FlowState.QUEUED,
    "PENDING": FlowState.RUNNING,
    "SUCCESS": FlowState.SUCCEEDED,
    "ERROR": FlowState.FAILED,
    "CANCELLED": FlowState.CANCELLED,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": FlowState.CRASHED,
}


# Nothing continues by itself from here, though a failed or cancelled flow may still be resumed by a person.
_OVER = frozenset({FlowState.SUCCEEDED, FlowState.FAILED, FlowState.CANCELLED, FlowState.CRASHED})


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """One flow as it is now. `executor` is the process that owns it, None while any worker may claim it. `working`
    distinguishes a flow that its process is running from one that waits on that process's queue."""

    id: str
    state: FlowState
    executor: str | None
    created_at: datetime
    output: Any = None
    queue: str | None = None
    working: bool = False


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One committed step: its number within its flow, its name, and how long it took."""

    flow_id: str
    number: int
    name: str
    child_id: str | None
    failed: bool
    output: Any
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class FlowSchedule:
    """A flow that starts on a schedule: a cron expression in a time zone, and the payload to start it with."""

    name: str
    cron: str
    time_zone: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RegisteredFlow:
    """A kind of flow and the body that this process runs for it."""

    kind: FlowKind[Any, Any]
    body: FlowBody[Any, Any]


_registered: dict[str, RegisteredFlow] = {}


@DBOS.workflow(name="flow", max_recovery_attempts=_CRASHES_BEFORE_GIVING_UP)
async def _flow(kind: str, payload: Any) -> Any:
    """The one function that the engine knows; it looks up the body by its kind.

    DBOS stores the name of the function with each workflow. With one function for all kinds, moving or renaming a body
    in our code cannot strand stored flows.
    """
    flow = Flow(str(DBOS.workflow_id), _start_flow)
    flow_type, body = _registered[kind].kind, _registered[kind].body
    try:
        given = from_json(flow_type.payload, payload, f"the payload of {flow.id}")
        return to_json(flow_type.result, await body(flow, given))
    except OrchestratorError as error:
        raise as_portable(error) from error


@DBOS.workflow(name="scheduled")
async def _scheduled(at: Any, context: Any) -> Any:
    """The function that the engine's scheduler calls."""
    return await _flow(context["kind"], {**context["payload"], "at": str(at)})


async def _start_flow(kind: FlowKind[P, Any], payload: P) -> Any:
    return await DBOS.start_workflow_async(_flow, kind.name, to_json(kind.payload, payload))


class Engine:
    """One process's part of the durable engine. DBOS is a singleton, so there can be only one in a process at a time.

    `shared` means that this process claims any waiting run (a worker); otherwise it runs only what it started itself
    (the console).
    """

    def __init__(self, url: str, leases: Leases, *, shared: bool = False) -> None:
        # Unique for each start. With DBOS's default, "local", a second process would take over the running flows of the
        # first.
        self.executor_id = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self._url = url
        self._leases = leases
        self._shared = shared
        self._own_queue = _OWN_QUEUE_PREFIX + self.executor_id
        self._dbos: DBOS | None = None
        self._database: SystemDatabase | None = None
        self._pool = make_engine(url)

    def register(self, kind: FlowKind[P, R], body: FlowBody[P, R]) -> None:
        """Make the body of a kind of flow known."""
        _registered[kind.name] = RegisteredFlow(kind, body)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Engine]:
        """Launch on the current event loop; on leaving, stop at once and leave unfinished flows resumable."""
        await self._renew()
        # The lease comes first: without one, the flows of this process would look like those of a dead one to all
        # others.
        await self._launch()
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_lease)
            try:
                yield self
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._stop()

    async def start(self, kind: FlowKind[P, Any], flow_id: str, payload: P) -> None:
        """Start a flow in this process. Starting the same identifier again does nothing."""
        with SetWorkflowID(flow_id):
            await _start_flow(kind, payload)

    async def enqueue(self, kind: FlowKind[P, Any], flow_id: str, payload: P, priority: str = "normal") -> None:
        """Leave a flow to any worker; urgent flows are claimed first."""
        stored = to_json(kind.payload, payload)
        with SetWorkflowID(flow_id), SetEnqueueOptions(priority=PRIORITIES[priority]):
            await DBOS.enqueue_workflow_async(SHARED_QUEUE, _flow, kind.name, stored)

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
        own = [status for status in found if status.workflow_id == flow_id or _is_below(status.workflow_id, flow_id)]
        alive = await self._live_executors()
        return tuple(_status(status, alive) for status in own)

    async def states(self, flow_ids: Sequence[str]) -> Mapping[str, FlowState]:
        """The state of each of these flows; those that never started are left out."""
        if not flow_ids:
            return {}
        found = await DBOS.list_workflows_async(workflow_ids=list(flow_ids), load_input=False, load_output=False)
        alive = await self._live_executors()
        return {status.workflow_id: _status(status, alive).state for status in found}

    async def steps(self, flow_id: str) -> tuple[StepRecord, ...]:
        """The committed steps of one flow, in order."""
        return tuple(_record(flow_id, step) for step in await DBOS.list_workflow_steps_async(flow_id))

    async def recover(self, flow_id: str, *, shared: bool = False) -> int:
        """Claim the parts of a flow whose process is gone, however often that has happened; returns how many.

        `shared`, here and below, leaves the flow to the workers; otherwise it continues in this process. Parts that a
        live process owns are left alone: claiming them would run a step twice at the same time.
        """
        orphans = [status for status in await self.tree(flow_id) if status.state is FlowState.INTERRUPTED]
        queue = self._queue(shared=shared)
        return await anyio.to_thread.run_sync(lambda: self._claim_all(orphans, queue, recovery_attempts=0))

    async def claim(self, flow_id: str, *, shared: bool = False) -> int:
        """Claim the parts of a flow that wait in a queue; returns how many."""
        waiting = [status for status in await self.tree(flow_id) if status.state is FlowState.QUEUED]
        return await anyio.to_thread.run_sync(self._claim_all, waiting, self._queue(shared=shared))

    async def recover_all(self, wanted: Callable[[str], bool] = lambda _: True) -> int:
        """Claim every flow whose process is gone and whose identifier is wanted; returns how many.

        DBOS recovers only the work of its own executor at launch, never that of other processes. A flow that has
        crashed several times stays as it is.
        """
        pending = await DBOS.list_workflows_async(
            status=["PENDING", "ENQUEUED"], load_input=False, load_output=False, limit=10_000
        )
        alive = await self._live_executors()
        statuses = (_status(status, alive) for status in pending)
        orphans = [status for status in statuses if status.state is FlowState.INTERRUPTED and wanted(status.id)]
        return await anyio.to_thread.run_sync(self._claim_all, orphans, self._own_queue)

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
                    "workflow_fn": _scheduled,
                    "schedule": schedule.cron,
                    "cron_timezone": schedule.time_zone,
                    "context": {"kind": kind.name, "payload": schedule.payload},
                    "queue_name": SHARED_QUEUE,
                }
                for schedule in schedules
            ]
        )

    async def forget_ended(self, before: datetime, kept: Callable[[Sequence[str]], Awaitable[frozenset[str]]]) -> int:
        """Delete the flows that ended before a moment, with their descendants and steps, in batches; returns how many.

        `kept` returns which of the given flows must stay although they have ended, because their runs may be resumed.
        DBOS has no retention of its own.
        """
        deleted, passed = 0, 0
        while page := await self._page_of_ended(before, passed):
            roots = [flow.workflow_id for flow in page if not _is_child(flow)]
            stay = await kept(roots)
            trees = [await self.tree(flow_id) for flow_id in roots if flow_id not in stay]
            gone = [flow.id for tree in trees if all(flow.state in _OVER for flow in tree) for flow in tree]
            if gone:
                await DBOS.delete_workflows_async(gone)
            deleted += len(gone)
            passed += len({flow.workflow_id for flow in page} - set(gone))
        return deleted

    async def _page_of_ended(self, before: datetime, offset: int) -> Sequence[Any]:
        return await DBOS.list_workflows_async(
            status=[name for name, state in _STATES.items() if state in _OVER],
            completed_before=before.isoformat(),
            load_input=False,
            load_output=False,
            limit=_FORGOTTEN_AT_ONCE,
            offset=offset,
        )

    async def _launch(self) -> None:
        make_safe()
        self._dbos = DBOS(
            config={
                "name": APPLICATION,
                "system_database_url": self._url,
                "system_database_engine": self._pool,
                "application_version": APPLICATION_VERSION,
                "executor_id": self.executor_id,
                # DBOS pickles by default, and reading a pickle can run code.
                "serializer": DBOSPortableJSONSerializer(),
                "log_level": "WARNING",
                "notification_listener_polling_interval_sec": 0.25,
                "scheduler_polling_interval_sec": _CALENDAR_POLL_SECONDS,
            }
        )
        quieten()
        DBOS.listen_queues([SHARED_QUEUE] if self._shared else [])
        # An internal queue is registered in this process only, so no other process claims what is put there.
        self._dbos._registry._register_internal_queue(self._own_queue, polling_interval_sec=_QUEUE_POLL_SECONDS)
        DBOS.launch()
        self._database = self._dbos._sys_db
        # `never_update`: otherwise a restart would overwrite a limit that was set while running.
        await DBOS.register_queue_async(
            SHARED_QUEUE, polling_interval_sec=_QUEUE_POLL_SECONDS, on_conflict="never_update"
        )

    async def _stop(self) -> None:
        dbos, self._dbos = self._dbos, None
        if dbos is None:
            return
        # `DBOS.destroy` does not stop running workflows. One that outlived the engine would write to a closed pool.
        tasks = tuple(dbos._workflow_tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await anyio.to_thread.run_sync(self._count_no_crash)
        await anyio.to_thread.run_sync(lambda: DBOS.destroy(workflow_completion_timeout_sec=0))
        with contextlib.suppress(sa.exc.SQLAlchemyError):  # then it expires
            await anyio.to_thread.run_sync(self._leases.release, LEASE_PREFIX + self.executor_id, self.executor_id)
        close_engine(self._pool)  # the durable engine closes only what it has made itself

    def _count_no_crash(self) -> None:
        """Reset the crash counters of this process's flows: DBOS counts every recovery as a crash, but an orderly stop
        is none, and flows must survive any number of restarts."""
        if self._database is not None:
            table = self._database.tables.workflow_status
            mine = (table.c.status == "PENDING") & (table.c.executor_id == self.executor_id)
            with contextlib.suppress(sa.exc.SQLAlchemyError), self._database.engine.begin() as connection:
                connection.execute(sa.update(table).where(mine).values(recovery_attempts=0))

    async def _keep_lease(self) -> None:
        while True:
            await anyio.sleep(_LEASE_RENEWAL_SECONDS)
            # While the database is down nobody can claim our flows, either; the lease is renewed when it is back.
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                await self._renew()

    async def _renew(self) -> None:
        data = this_process(shared=self._shared)
        name = LEASE_PREFIX + self.executor_id
        await anyio.to_thread.run_sync(lambda: self._leases.acquire(name, self.executor_id, _LEASE_SECONDS, data))

    async def _live_executors(self) -> frozenset[str]:
        processes = await anyio.to_thread.run_sync(live_processes, self._leases)
        return frozenset(process.executor for process in processes)

    def _queue(self, *, shared: bool) -> str:
        return SHARED_QUEUE if shared else self._own_queue

    def _claim_all(self, flows: list[FlowStatus], queue: str, **values: Any) -> int:
        """Put flows that nobody works on into a queue; returns how many were claimed.

        Each claim is a compare-and-set: of several processes that try, one wins, and none does once a live process owns
        the flow. DBOS's own recovery leaves a flow in its previous queue, and the queue of a dead process is polled by
        nobody. `resume_workflow` is no substitute: it resets the crash counter.
        """
        if self._database is None:
            raise RuntimeError("The engine is not running. Use it inside `async with engine.running()`.")
        with self._database.engine.begin() as connection:
            claims = [self._claim(self._database, flow, {**values, "queue_name": queue}) for flow in flows]
            return sum(connection.execute(claim).rowcount for claim in claims)

    def _claim(self, database: SystemDatabase, flow: FlowStatus, values: Mapping[str, Any]) -> sa.Update:
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


def _is_child(status: Any) -> bool:
    """Whether a flow is deleted with its parent. A run that a schedule has started has a parent but stays by itself."""
    parent = status.parent_workflow_id
    return parent is not None and _is_below(status.workflow_id, parent)


def _is_below(flow_id: str, ancestor: str) -> bool:
    return flow_id.startswith(ancestor + ".")


def _status(status: Any, alive: frozenset[str]) -> FlowStatus:
    state, executor, queue = _STATES[status.status], status.executor_id, status.queue_name
    if state is FlowState.QUEUED:
        executor = queue.removeprefix(_OWN_QUEUE_PREFIX) if queue and queue.startswith(_OWN_QUEUE_PREFIX) else None
    working = state is FlowState.RUNNING
    if (working or (state is FlowState.QUEUED and executor is not None)) and executor not in alive:
        state = FlowState.INTERRUPTED
    created_at = _moment(status.created_at)
    return FlowStatus(status.workflow_id, state, executor, created_at, status.output, queue, working)


def _record(flow_id: str, step: Any) -> StepRecord:
    return StepRecord(
        flow_id=flow_id,
        number=step["function_id"],
        name=step["function_name"],
        child_id=step["child_workflow_id"],
        failed=step["error"] is not None,
        output=step["output"],
        started_at=_optional_moment(step.get("started_at_epoch_ms")),
        finished_at=_optional_moment(step.get("completed_at_epoch_ms")),
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _optional_moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _moment(milliseconds)
