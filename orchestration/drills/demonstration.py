"""A demonstration: a goal is worked on, its provider is killed in the middle, and the response is carried out.

The parts are those of every drill: real processes, a project of its own, and a person who does what only people can do.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.domain.incident_status import IncidentStatus
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.observation import ObservedWork
from orchestration.drills.observer import DrillObserver
from orchestration.drills.processes import DrillError
from orchestration.drills.setup import DrillSetting
from orchestration.events import Event
from orchestration.incidents.model import Incident
from orchestration.storage.database import StorageError
from orchestration.storage.runs import Run
from orchestration.storage.timeline import Timeline

Tell = Callable[[str], None]
TellEvent = Callable[[Event], None]

_POLL_SECONDS = 0.2
# The plan is made by then, and the executors have begun.
_CALLS = 6
_SECONDS = 120.0
# Shorter intervals than the product's, so that nobody has to wait: how long a repaired provider is watched, and how
# soon one is asked again.
_BREAKER = {"probeAfter": 1.0, "probeAtMost": 2.0}
_SETTING = DrillSetting(
    configuration={
        "runtime": {name: {"breaker": _BREAKER} for name in DrillSetting().providers},
        "response": {"stabilitySeconds": 3},
    }
)
_WORKED_AROUND = (IncidentStatus.MITIGATED, IncidentStatus.RESOLVED)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What came of it. `killed_at` is when the provider was killed, `repaired_at` when it was started again."""

    folder: Path
    run: Run
    incident: Incident
    work: ObservedWork
    killed_at: datetime
    repaired_at: datetime

    @property
    def succeeded(self) -> bool:
        """Whether the goal was reached and the incident resolved."""
        return self.work.succeeded is True and not self.incident.status.is_open


async def demonstrate(folder: Path, clock: Clock, tell: Tell, tell_event: TellEvent) -> Demonstration:
    """Carry it out in an empty folder, which stays; what happens is told while it does. Raises DrillError."""
    failed: Exception | None = None
    async with drill_environment(folder, _SETTING, clock) as environment:
        tell("starting two rehearsal providers, the control process and a worker")
        await environment.serve()
        async with anyio.create_task_group() as group:
            group.start_soon(_narrate, environment, tell_event)
            try:
                shown = await _story(environment, tell)
            except (DrillError, SQLAlchemyError, StorageError) as error:
                failed = error  # raised below, where no group wraps it
            group.cancel_scope.cancel()
    if failed is not None:
        raise failed
    return shown


async def _story(environment: DrillEnvironment, tell: Tell) -> Demonstration:
    clock, sample = environment.clock, environment.sample
    primary, second = environment.providers.values()
    tell(f"the goal: {sample.goal}")
    await environment.run(sample.goal, checks=(shlex.join(sample.test_command),))
    await environment.wait_for_calls(_CALLS)
    killed_at = clock.now()
    tell(f"kill -9: the provider '{primary.name}' dies in the middle of the work")
    await primary.kill()
    await environment.until(lambda: _all(environment, _WORKED_AROUND), "the workaround", _SECONDS)
    tell(f"the work goes on with the provider '{second.name}'; an operator starts '{primary.name}' again")
    repaired_at = clock.now()
    await primary.start()
    await environment.wait_for_runs()
    await environment.until(lambda: _all(environment, (IncidentStatus.RESOLVED,)), "the repair", _SECONDS)
    # The timeline is written in batches, and the last lines shall be read.
    await clock.sleep(2 * _POLL_SECONDS)
    calls = await environment.calls()
    observer = DrillObserver(environment)
    run, incident, work = await environment.database.call(
        lambda: (observer.runs()[0], observer.incidents()[0], observer.work(calls))
    )
    return Demonstration(environment.folder, run, incident, work, killed_at, repaired_at)


async def _all(environment: DrillEnvironment, wanted: tuple[IncidentStatus, ...]) -> bool:
    """Whether there are incidents, and all of them have come so far."""
    found = await environment.database.call(lambda: DrillObserver(environment).incidents())
    return bool(found) and all(one.status in wanted or not one.status.is_open for one in found)


async def _narrate(environment: DrillEnvironment, tell: TellEvent) -> None:
    """Tell every event as it is recorded. Ends by being cancelled."""
    timeline, last = Timeline(environment.database), 0
    while True:
        for number, event in await environment.database.call(partial(timeline.list_since, last)):
            last = number
            tell(event)
        await environment.clock.sleep(_POLL_SECONDS)
