"""Runs that start on a schedule, and game days.

The durable engine owns the calendar. At each planned time it starts one flow, however many processes there are, and
that flow records the run and starts it.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, TypeAdapter

from orchestration.config.schedules import ScheduleSettings
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.events import EventBus
from orchestration.events.runs import CalendarApplied, RunCreated, ScheduleRefused
from orchestration.ids import new_id
from orchestration.runs.launcher import RunLauncher
from orchestration.storage.runs import Run, Runs
from orchestration.workflows.coordinator import RUN
from orchestration.workflows.engine import JSON, Engine, Flow, FlowKind, FlowSchedule

_RUN_ID = TypeAdapter[str | None](str | None)


class PlannedStart(BaseModel):
    """The payload of the flow: a schedule as it was when the calendar was applied, and the planned time."""

    model_config = ConfigDict(frozen=True)

    schedule: ScheduleSettings
    at: str


# The result is the identifier of the run, or the report of a game day.
SCHEDULED = FlowKind("scheduled", PlannedStart, JSON)

HoldGameDay = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Holds the drills of a schedule; the argument is the flow's payload, with `schedule` and `at`."""


class RunSchedules:
    """Keeps the engine's calendar equal to the configuration's schedules, and carries out each planned time."""

    def __init__(
        self, engine: Engine, launcher: RunLauncher, runs: Runs, bus: EventBus, root: Path, hold_game_day: HoldGameDay
    ) -> None:
        self._engine = engine
        self._launcher = launcher
        self._runs = runs
        self._bus = bus
        self._root = root
        self._hold_game_day = hold_game_day

    async def apply(self, schedules: Sequence[ScheduleSettings]) -> None:
        """Make the calendar consist of exactly these."""
        await self._engine.apply_schedules(SCHEDULED, [_flow_schedule(settings) for settings in schedules])
        self._bus.publish(CalendarApplied(schedules=tuple(settings.name for settings in schedules)))

    async def body(self, flow: Flow, planned: PlannedStart) -> Any:
        """The flow of one planned time."""
        if planned.schedule.drills:
            payload = planned.model_dump(mode="json", by_alias=True)
            return await flow.step("drills", JSON, lambda: self._hold_game_day(payload))
        # A step of its own: after a crash the recorded identifier is read back, and no second run is recorded.
        run_id = await flow.step("record", _RUN_ID, lambda: self._record(planned))
        if run_id is not None:
            await flow.start(RUN, run_id, None)
        return run_id

    async def _record(self, start: PlannedStart) -> str | None:
        """Record the run, once however often this is repeated; None, with an event, if it cannot be started."""
        settings, planned = start.schedule, datetime.fromisoformat(start.at)
        # Steps are at-least-once, so a repeated flow must find the run that it has recorded: the identifier depends on
        # the planned time alone.
        bits = zlib.crc32(origin_of(settings.name, planned).encode()) % 2**25
        run_id = new_id("run", planned.timestamp(), random_bits=bits)
        if await anyio.to_thread.run_sync(self._is_recorded, run_id):
            return run_id
        try:
            run = await self._run(run_id, settings, planned)
            await anyio.to_thread.run_sync(self._runs.add, run)
        except (UsageError, ConflictError) as error:
            # An event and not an error: the flow is complete, and repeating it would refuse the run again.
            self._bus.publish(ScheduleRefused(name=settings.name, at_time=start.at, message=str(error)))
            return None
        else:
            self._bus.publish(
                RunCreated(
                    goal=run.goal,
                    priority=run.priority,
                    origin=run.origin,
                    schedule=settings.name,
                    due_at=planned.isoformat(),
                ),
                run_id=run.id,
            )
        return run.id

    async def _run(self, run_id: str, settings: ScheduleSettings, planned: datetime) -> Run:
        return await self._launcher.prepare(
            settings.goal,
            self._root / (settings.workspace or "."),
            agent=settings.agent,
            provider=settings.provider,
            priority=settings.priority,
            origin=origin_of(settings.name, planned),
            run_id=run_id,
        )

    def _is_recorded(self, run_id: str) -> bool:
        try:
            self._runs.get(run_id)
        except NotFoundError:
            return False
        return True


def origin_of(name: str, planned: datetime) -> str:
    """The origin of a scheduled run."""
    return f"schedule {name} at {planned.isoformat().replace('+00:00', 'Z')}"


def _flow_schedule(settings: ScheduleSettings) -> FlowSchedule:
    payload = {"schedule": settings.model_dump(mode="json", by_alias=True)}
    return FlowSchedule(settings.name, settings.cron, settings.time_zone, payload)
