"""The control process: keeps the workers alive and the calendar true, responds to incidents and tells others of it,
and looks after backups and reports.

Other services of a control process (the web, monitoring) are one more context manager beside `serving`.
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
from orchestration.app.maintenance import ProjectMaintenance
from orchestration.app.playbooks import PlaybookResponse
from orchestration.config.schema import ScheduleSettings
from orchestration.events.workers import ControlUnheard
from orchestration.workers.supervisor import Supervisor, WorkerLimits
from orchestration.workflows.processes import CONTROL_PREFIX, this_process

_LEADER = "leader"
_LEASE_SECONDS = 10.0
_LOOK_SECONDS = 1.0


class ControlProcess:
    """A control process at work. `supervisor` says how its workers are; `leads` whether the calendar is its own; `url`
    is where its dashboard is, once it serves one."""

    def __init__(self, app: Application, config_file: Path, workers: int, *, drill: bool = False) -> None:
        self._app = app
        command = worker.command(worker_main.ENTRY_POINT, str(config_file.absolute()))
        self.supervisor = Supervisor(command, workers, self._limits, app.bus, app.clock)
        self.leads = False
        self.url = ""
        self.incidents = IncidentResponse(app, lambda: self.leads, drill=drill)
        self.maintenance = ProjectMaintenance(app, self.incidents.outbox)
        upkeep = self.maintenance.upkeep
        self.playbooks = PlaybookResponse(app, self.incidents, self.supervisor, upkeep, lambda: self.leads)
        self._unheard = False
        self._applied: Sequence[ScheduleSettings] | None = None

    @property
    def _holder(self) -> str:
        return self._app.engine.executor_id

    def serves_at(self, url: str) -> None:
        """Have links in messages lead here, and others know of it."""
        self.url = self._app.serves_at = url

    async def tell(self) -> None:
        """Keep a lease that says that this process is here and how its workers are, until cancelled."""
        while True:
            with self._bearing_outages():
                states = [one.as_json() for one in self.supervisor.workers]
                await self._acquire(CONTROL_PREFIX + self._holder, workers=states, url=self.url)
            await self._app.clock.sleep(_LOOK_SECONDS)

    async def keep_calendar(self) -> None:
        """Apply the schedules at the start and after each edit, until cancelled; of several control processes one
        leads, and when it is gone another takes over."""
        while True:
            with self._bearing_outages():
                await self._lead()
            await self._app.clock.sleep(_LOOK_SECONDS)

    async def leave(self) -> None:
        """Give the leases up. The calendar is emptied, so that no time starts a run while nobody serves; the control
        process that leads next fills it again."""
        with self._bearing_outages():
            if self.leads:
                await self._app.calendar.apply(())
                await anyio.to_thread.run_sync(self._app.leases.release, _LEADER, self._holder)
            await anyio.to_thread.run_sync(self._app.leases.release, CONTROL_PREFIX + self._holder, self._holder)

    async def _lead(self) -> None:
        self.leads = await self._acquire(_LEADER)
        wanted = self._app.configuration.schedules
        if not self.leads:
            self._applied = None
        elif wanted != self._applied:
            await self._app.calendar.apply(wanted)
            self._applied = wanted

    @contextlib.contextmanager
    def _bearing_outages(self) -> Iterator[None]:
        """Without the database nobody hears of us; the workers still need their supervisor."""
        try:
            yield
        except SQLAlchemyError as error:
            if not self._unheard:
                self._app.bus.publish(ControlUnheard(message=type(error).__name__))
            self._unheard = True
        else:
            self._unheard = False

    async def _acquire(self, name: str, **data: Any) -> bool:
        about = this_process(**data)
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
    """Serve a project for as long as the block lasts, with so many workers, else with as many as the configuration
    says. On leaving, the workers are stopped and leave their runs resumable. With `drill` all trouble is marked as
    rehearsed."""
    count = app.configuration.runtime.workers if workers is None else workers
    control = ControlProcess(app, config_file, count, drill=drill)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(control.supervisor.run)
            group.start_soon(control.tell)
            group.start_soon(control.keep_calendar)
            group.start_soon(control.incidents.run)
            group.start_soon(control.playbooks.run)
            group.start_soon(control.maintenance.run, lambda: control.leads)
            yield control
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await control.leave()
