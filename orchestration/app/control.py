"""The control process: supervises the workers, keeps the calendar of schedules, responds to incidents, and runs
maintenance.

The web server is one more context manager beside `serving`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.agents import worker
from orchestration.app import worker_main
from orchestration.app.application import Application
from orchestration.app.incidents import IncidentResponse
from orchestration.app.leadership import Leadership
from orchestration.app.maintenance import ProjectMaintenance
from orchestration.app.playbooks import PlaybookResponse
from orchestration.config.schedules import ScheduleSettings
from orchestration.events.workers import ControlProcessSilent, ControlProcessStarted
from orchestration.storage.recorded_time import TIME_OF_LEASE
from orchestration.workers.supervisor import Supervisor, WorkerLimits
from orchestration.workflows.processes import CONTROL_PREFIX, release, this_process

_LEADER = "leader"
# After a crash of the leader another process takes over within this time; a stall of the database shorter than that
# does not change the leader.
_LEASE_SECONDS = 10.0
_RENEWAL_SECONDS = 1.0
# The lease of the leader needs no more: three renewals may fail before another process takes over.
_LEADER_RENEWAL_SECONDS = 3.0


class ControlProcess:
    """A running control process. `supervisor` knows its workers; `leadership` says whether it leads; `url` is the
    address of its dashboard, once it serves one."""

    def __init__(self, app: Application, config_file: Path, workers: int, *, drill: bool = False) -> None:
        self._app = app
        command = worker.command(worker_main.ENTRY_POINT, str(config_file.absolute()))
        self.supervisor = Supervisor(command, workers, self._limits, app.bus, app.clock)
        self.leadership = Leadership()
        self.url = ""
        self.incidents = IncidentResponse(app, self.leadership, drill=drill)
        self.maintenance = ProjectMaintenance(app, self.incidents.outbox)
        upkeep = self.maintenance.upkeep
        self.playbooks = PlaybookResponse(app, self.incidents, self.supervisor, upkeep, self.leadership)
        # One event for each outage, and not one for each second of it.
        self._unannounced = False
        self._renew_at = 0.0
        self._applied: Sequence[ScheduleSettings] | None = None

    @property
    def _holder(self) -> str:
        return self._app.engine.executor_id

    def serves_at(self, url: str) -> None:
        """Use this address for links in messages, and publish it to other processes."""
        self.url = self._app.serves_at = url

    def has_leader(self) -> bool:
        """Whether any control process leads now. Blocks; raises SQLAlchemyError without the database."""
        return any(lease.name == _LEADER and lease.live for lease in self._app.leases.list(_LEADER))

    async def announce(self) -> None:
        """Keep a lease with the address and the workers of this process, until cancelled."""
        while True:
            with self._surviving_outages():
                states = [one.as_json() for one in self.supervisor.workers]
                await self._acquire(CONTROL_PREFIX + self._holder, workers=states, url=self.url)
            await self._app.clock.sleep(_RENEWAL_SECONDS)

    async def follow_schedules(self) -> None:
        """Apply the schedules at the start and after each edit, until cancelled. Of several control processes one
        leads; when it is gone, another takes over."""
        while True:
            with self._surviving_outages():
                await self._lead()
            await self._app.clock.sleep(_RENEWAL_SECONDS)

    async def release(self) -> None:
        """Release the leases. The calendar is emptied first, so that no run starts while no control process is running;
        the next leader fills it again."""
        with self._surviving_outages():
            if self.leadership.held:
                await self._app.calendar.apply(())
                await anyio.to_thread.run_sync(self._app.leases.release, _LEADER, self._holder)
            await anyio.to_thread.run_sync(self._app.leases.release, CONTROL_PREFIX + self._holder, self._holder)

    async def _lead(self) -> None:
        now = self._app.clock.monotonic()
        if not self.leadership.held or now >= self._renew_at:
            self.leadership.change(await self._acquire(_LEADER))
            self._renew_at = now + _LEADER_RENEWAL_SECONDS
        wanted = self._app.configuration.schedules
        if not self.leadership.held:
            # Another leader may change or empty the calendar in the meantime, so it is applied anew after the next
            # take-over.
            self._applied = None
        elif wanted != self._applied:
            await self._app.calendar.apply(wanted)
            self._applied = wanted

    @contextlib.contextmanager
    def _surviving_outages(self) -> Iterator[None]:
        """Without the database this process cannot announce itself, but the workers still need their supervisor."""
        try:
            yield
        except SQLAlchemyError as error:
            if not self._unannounced:
                # The name of the class only: the text of a database error quotes the statement with its values.
                self._app.bus.publish(ControlProcessSilent(message=type(error).__name__))
            self._unannounced = True
        else:
            self._unannounced = False

    async def _acquire(self, name: str, **data: Any) -> bool:
        # With its time, so that whoever comes after it goes on from there, whatever the machine's clock shows then.
        about = this_process(**{TIME_OF_LEASE: self._app.clock.now().timestamp()}, **data)
        return await anyio.to_thread.run_sync(
            lambda: self._app.leases.acquire(name, self._holder, _LEASE_SECONDS, about)
        )

    def _limits(self) -> WorkerLimits:
        runtime = self._app.configuration.runtime
        return WorkerLimits(runtime.worker_heartbeat_seconds, runtime.worker_memory_mb, runtime.worker_stop_seconds)


@contextlib.asynccontextmanager
async def serving(
    app: Application, config_file: Path, workers: int | None = None, *, drill: bool = False
) -> AsyncIterator[ControlProcess]:
    """Serve a project for as long as the block lasts, with so many workers, else with the number in the
    configuration. On leaving, the workers are stopped and leave their runs resumable. With `drill`, every incident is
    marked as part of a drill."""
    count = app.configuration.runtime.workers if workers is None else workers
    control = ControlProcess(app, config_file, count, drill=drill)
    try:
        async with anyio.create_task_group() as group:
            app.bus.publish(ControlProcessStarted(release=release(), drill=drill))
            group.start_soon(control.supervisor.run)
            group.start_soon(control.announce)
            group.start_soon(control.follow_schedules)
            group.start_soon(control.incidents.run)
            group.start_soon(control.playbooks.run)
            group.start_soon(control.maintenance.run, control.leadership)
            yield control
            # The loops run until they are cancelled.
            group.cancel_scope.cancel()
    finally:
        # After the task group, whose end stops the workers: another process that sees the leases free may take the
        # runs over. The shield is for a stop by cancellation, in which the first await would raise.
        with anyio.CancelScope(shield=True):
            await control.release()
