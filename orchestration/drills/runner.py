"""Runs one drill: start the project, start work, inject the fault; then only observe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import anyio
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.drills import observer, person
from orchestration.drills.calibration import Calibration
from orchestration.drills.disk import small_disk
from orchestration.drills.environment import DrillEnvironment, drill_environment
from orchestration.drills.expectation import DrillOutcome
from orchestration.drills.folders import project_folder
from orchestration.drills.model import Drill
from orchestration.drills.observation import DrillObservation
from orchestration.drills.observer import DrillObserver
from orchestration.drills.postgres_server import postgres_server
from orchestration.drills.processes import DrillError
from orchestration.drills.scoring import ScoringMiss, score
from orchestration.ids import new_id
from orchestration.incidents.model import Incident
from orchestration.storage.database import StorageError
from orchestration.storage.scratch import scratch_database

_POLL_SECONDS = 0.1
# How long no incident may be opened before a fault counts as absorbed: longer than the hold of any rule in a drill.
_QUIET_SECONDS = 4.0
_NOT_HELD = (DrillError, SQLAlchemyError, StorageError)


@dataclass(frozen=True, slots=True)
class DrillResult:
    """The result of a drill. `folder` is where its project was kept, None if it was deleted."""

    drill: Drill
    started_at: datetime
    seen: DrillObservation
    misses: tuple[ScoringMiss, ...]
    folder: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether everything went as expected."""
        return not self.misses


async def run_drill(drill: Drill, clock: Clock, *, keep: Path | None = None, against: str | None = None) -> DrillResult:
    """Run a drill in a folder of its own: below `keep`, where it stays, or else a temporary one; with a database file
    of its own, or a scratch database on the server at the address `against`."""
    started, begun = clock.now(), clock.monotonic()
    try:
        # Left in reverse: the disk is unmounted before its folder is deleted, and a scratch
        # database is dropped once no process uses it any more.
        with (
            _database(drill, started, against) as there,
            project_folder(drill.name, keep) as folder,
            small_disk(folder, drill.setting.disk_mb),
        ):
            seen = await _calibrated(there, folder, clock)
    # A drill that could not be held is a result, too: the other drills of a session still get their turn.
    except (*_NOT_HELD, ExceptionGroup) as error:
        failed = _first_of(error)
        if not isinstance(failed, _NOT_HELD):
            raise
        seen = DrillObservation(clock.monotonic() - begun, problem=f"{type(failed).__name__}: {failed}")
    return DrillResult(drill, started, seen, score(drill.expects, seen), folder if keep else None)


@contextmanager
def _database(drill: Drill, started: datetime, against: str | None) -> Iterator[Drill]:
    """The drill, with its database."""
    if against is None or drill.setting.own_server:
        yield drill
        return
    with scratch_database(against, new_id("drill", started.timestamp()).replace("-", "_")) as url:
        yield replace(drill, setting=replace(drill.setting, database_url=url))


async def _calibrated(drill: Drill, folder: Path, clock: Clock) -> DrillObservation:
    """The observation, with how slow the machine was meanwhile."""
    calibration = Calibration(clock)
    async with calibration.measuring():
        seen = await _observed(drill, folder, clock)
    return replace(seen, slowness=calibration.slowness)


async def _observed(drill: Drill, folder: Path, clock: Clock) -> DrillObservation:
    async with AsyncExitStack() as stack:
        server, setting = None, drill.setting
        if setting.own_server:
            server = await stack.enter_async_context(postgres_server(clock))
            setting = replace(setting, database_url=server.url)
        environment = await stack.enter_async_context(drill_environment(folder, setting, clock, server))
        await _begin(drill, environment)
        # Read before the injection: some faults are detected while their injection is still going on.
        since = clock.now()
        await drill.inject(environment)
        return await _attended(drill, environment, environment.injected_at or since)


async def _begin(drill: Drill, environment: DrillEnvironment) -> None:
    """Start the system, and the work during which the fault is injected."""
    await environment.serve()
    if drill.prepare is not None:
        await drill.prepare(environment)
    goal = environment.sample.goal if drill.work.sample else drill.work.goal
    if goal is not None:
        await environment.run(goal, agent=drill.work.agent, priority=drill.work.priority)
        await environment.wait_for_calls(drill.work.calls)
        if drill.work.sign:
            await environment.wait_for_file(drill.work.sign)


async def _attended(drill: Drill, environment: DrillEnvironment, since: datetime) -> DrillObservation:
    """Watch, while the person on call does what a person has to do."""
    async with anyio.create_task_group() as group:
        group.start_soon(person.be_on_call, drill, environment)
        seen = await _watched(drill, environment, since)
        group.cancel_scope.cancel()
    return seen


def _first_of(failed: Exception) -> Exception:
    """What went wrong, out of the group that a task group makes of it."""
    return _first_of(failed.exceptions[0]) if isinstance(failed, ExceptionGroup) else failed


async def _watched(drill: Drill, environment: DrillEnvironment, since: datetime) -> DrillObservation:
    """Look until what is expected has come, or the deadline."""
    watcher = DrillObserver(environment)
    end = environment.clock.monotonic() + drill.expects.deadline
    while environment.clock.monotonic() < end:
        try:
            if await environment.database.call(lambda: _is_over(drill, watcher, since, environment.clock.now())):
                break
        except (SQLAlchemyError, StorageError):
            pass  # the database is what the fault has made unavailable
        await environment.clock.sleep(_POLL_SECONDS)
    calls = await environment.calls()
    now = environment.clock.now()
    return await environment.database.call(lambda: observer.observe(watcher, drill.expects, since, now, calls))


def _is_over(drill: Drill, watcher: DrillObserver, since: datetime, now: datetime) -> bool:
    runs = watcher.runs()
    worked = not drill.expects.work_succeeds or all(run.status.ended for run in runs)
    if not worked:
        return False
    incident = observer.chosen(watcher.incidents(), drill.expects, since)
    if drill.expects.ending is DrillOutcome.ABSORBED:
        # Counted from the end of the work: a run that fails at last could still open an incident.
        ends = [run.finished_at for run in runs if run.finished_at] or [since]
        return incident is not None or (now - max(ends)).total_seconds() > _QUIET_SECONDS
    return incident is not None and _has_ended(drill, watcher, incident)


def _has_ended(drill: Drill, watcher: DrillObserver, incident: Incident) -> bool:
    played = observer.is_played(watcher.responses(incident))
    if drill.expects.ending is DrillOutcome.REPAIRED:
        # One that is only mitigated stays open until its cause is gone. One that was handed over waits for a person:
        # the drill's, if there is anything left for them to do.
        given_up = observer.is_handed_over(watcher.responses(incident)) and not drill.expects.needs_person
        return played and (not incident.status.is_open or given_up)
    # A response that waits for approval will wait for as long as the drill lets it.
    return played or bool(watcher.asked(incident))
