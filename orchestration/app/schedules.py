"""Runs that start by the calendar, and game days.

The durable engine keeps the calendar. When a time comes it starts one flow, however many processes there are, and that
flow records the run and begins it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from orchestration.app import game_days
from orchestration.config.schema import ScheduleSettings
from orchestration.errors import NotFoundError, UsageError
from orchestration.ids import new_id
from orchestration.storage.runs import Run
from orchestration.workflows.coordinator import RUN
from orchestration.workflows.engine import Flow, FlowSchedule

if TYPE_CHECKING:
    from orchestration.app.application import Application

SCHEDULED = "scheduled"


class RunSchedules:
    """The schedules of the configuration, as the engine keeps them."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def apply(self, schedules: Sequence[ScheduleSettings]) -> None:
        """Make the calendar hold exactly these."""
        await self._app.engine.apply_schedules(SCHEDULED, [_schedule(settings) for settings in schedules])
        self._app.bus.emit("calendar.applied", schedules=[settings.name for settings in schedules])

    async def body(self, flow: Flow, payload: Any) -> Any:
        """The flow of one planned time."""
        if payload["schedule"].get("drills"):
            return await flow.step("drills", lambda: game_days.hold(self._app, payload))
        run_id = await flow.step("record", lambda: self._record(payload))
        if run_id is not None:
            await flow.start(RUN, run_id, None)
        return run_id

    async def _record(self, payload: Any) -> str | None:
        """Record the run, once however often this is done; None when it cannot be begun, which the log then says."""
        settings = ScheduleSettings.model_validate(payload["schedule"])
        planned = datetime.fromisoformat(payload["at"])
        try:
            run = await self._run(settings, planned)
        except UsageError as error:
            self._app.bus.emit("schedule.refused", name=settings.name, at_time=payload["at"], message=str(error))
            return None
        if not await anyio.to_thread.run_sync(self._is_recorded, run.id):
            await anyio.to_thread.run_sync(self._app.runs.add, run)
            self._app.bus.emit("run.created", run_id=run.id, goal=run.goal, priority=run.priority, origin=run.origin)
        return run.id

    async def _run(self, settings: ScheduleSettings, planned: datetime) -> Run:
        run = await self._app.checked_run(
            settings.goal,
            self._app.root / (settings.workspace or "."),
            agent=settings.agent,
            provider=settings.provider,
            priority=settings.priority,
            origin=origin_of(settings.name, planned),
        )
        # The same identifier for the same planned time, so that a flow that begins again finds what it has recorded.
        bits = zlib.crc32(run.origin.encode()) % 2**25
        return replace(run, id=new_id("run", planned.timestamp(), random_bits=bits))

    def _is_recorded(self, run_id: str) -> bool:
        try:
            self._app.runs.get(run_id)
        except NotFoundError:
            return False
        return True


def origin_of(name: str, planned: datetime) -> str:
    """Where a scheduled run says that it comes from."""
    return f"schedule {name} at {planned.isoformat().replace('+00:00', 'Z')}"


def _schedule(settings: ScheduleSettings) -> FlowSchedule:
    payload = {"schedule": settings.model_dump(mode="json", by_alias=True)}
    return FlowSchedule(settings.name, settings.cron, settings.time_zone, payload)
