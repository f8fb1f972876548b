"""This process as an executor of the durable engine: it launches DBOS, holds a lease, and stops both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict

import anyio
import anyio.to_thread
import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer
from dbos._sys_db import SystemDatabase

from orchestration.storage.engines import close_engine, make_engine
from orchestration.storage.leases import Leases
from orchestration.workflows.engine.empty_queues import claim_only_what_waits
from orchestration.workflows.engine.records import LABEL_QUEUE_PREFIX, OWN_QUEUE_PREFIX
from orchestration.workflows.engine.safety import make_safe, quieten
from orchestration.workflows.processes import LEASE_PREFIX, NO_PROFILE, WorkerProfile, release, this_process

APPLICATION = "orchestration"
# Fixed on purpose. DBOS takes a hash of the code by default and resumes only work of the same version, so each edit
# would strand unfinished runs: https://docs.dbos.dev/python/tutorials/upgrading-workflows.
APPLICATION_VERSION = "1"
SHARED_QUEUE = "runs"
# A live process renews five times before its lease expires, so that a slow disk does not look like a crash.
_LEASE_SECONDS = 10.0
_LEASE_RENEWAL_SECONDS = 2.0
# Each poll is a query at least; so often, an idle process spends about a hundredth of a core on the engine. There are
# two queues: the one that every run waits in, and the process's own, which holds only what it takes over from a dead
# process or continues by hand.
_QUEUE_POLL_SECONDS = 0.2
_OWN_QUEUE_POLL_SECONDS = 0.5
# How soon an edited schedule is in force. With the engine's own 30 s a time within the next half minute would be
# missed.
_CALENDAR_POLL_SECONDS = 1.0


class ExecutorProcess:
    """The part of the engine that belongs to this process. `shared` as for Engine."""

    def __init__(self, url: str, leases: Leases, *, shared: bool, profile: WorkerProfile = NO_PROFILE) -> None:
        # Unique for each start. With DBOS's default, "local", a second process would take over the running flows of the
        # first.
        self.executor_id = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(3).hex()}"
        self.own_queue = OWN_QUEUE_PREFIX + self.executor_id
        self._url = url
        self._leases = leases
        self._shared = shared
        self._profile = profile
        self._draining = False
        self._dbos: DBOS | None = None
        self._database: SystemDatabase | None = None
        self._pool = make_engine(url)

    @property
    def database(self) -> SystemDatabase:
        """The engine's own tables, while it is running."""
        if self._database is None:
            raise RuntimeError("The engine is not running. Use it inside `async with engine.running()`.")
        return self._database

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Launch on the current event loop; on leaving, stop at once and leave unfinished flows resumable."""
        await self._renew()
        # The lease comes first: without one, the flows of this process would look like those of a dead one to all
        # others.
        await self._launch()
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_lease)
            try:
                yield
            finally:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._stop()

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
        DBOS.listen_queues([])
        # The registry outlives an engine, and with it the queues of one that ran in this process before.
        self._dbos._registry.internal_queue_map.clear()
        for queue in self._shared_queues():
            # In this process only, where the limit is its own; of a queue in the database it would be everybody's, and
            # each poll would read the queue's settings first.
            self._dbos._registry._register_internal_queue(
                queue, polling_interval_sec=_QUEUE_POLL_SECONDS, worker_concurrency=self._profile.capacity
            )
        # An internal queue is registered in this process only, so no other process claims what is put there.
        self._dbos._registry._register_internal_queue(self.own_queue, polling_interval_sec=_OWN_QUEUE_POLL_SECONDS)
        DBOS.launch()
        self._database = self._dbos._sys_db
        claim_only_what_waits(self._database)
        # `never_update`: otherwise a restart would overwrite a limit that was set while running.
        await DBOS.register_queue_async(
            SHARED_QUEUE, polling_interval_sec=_QUEUE_POLL_SECONDS, on_conflict="never_update"
        )

    def _shared_queues(self) -> list[str]:
        """The queues that this process takes its share of."""
        if not self._shared:
            return []
        labels = [LABEL_QUEUE_PREFIX + label for label in self._profile.labels]
        return labels if self._profile.only_labels else [SHARED_QUEUE, *labels]

    @property
    def busy(self) -> int:
        """How many flows this process is running."""
        return 0 if self._dbos is None else len(self._dbos._workflow_tasks)

    async def drain(self) -> None:
        """Claim nothing more from any queue; what was claimed goes on."""
        self._draining = True
        if self._dbos is not None:
            # The first of these events belongs to the queues' threads, which are the first that DBOS starts.
            self._dbos.background_thread_stop_events[0].set()
        await self._renew()

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
        more = {"profile": asdict(self._profile)} if self._profile != NO_PROFILE else {}
        data = this_process(shared=self._shared, version=release(), busy=self.busy, draining=self._draining, **more)
        name = LEASE_PREFIX + self.executor_id
        await anyio.to_thread.run_sync(lambda: self._leases.acquire(name, self.executor_id, _LEASE_SECONDS, data))
