"""The schedule of maintenance: each job that is due is run once, by the leader, and recorded with its result."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import anyio
import anyio.abc
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.config.maintenance import MaintenanceSettings
from orchestration.cron import last_due, next_due
from orchestration.errors import ConflictError, NotFoundError
from orchestration.events import EventBus
from orchestration.events.maintenance import (
    MaintenanceFailed,
    MaintenanceFinished,
    MaintenanceStarted,
    MaintenanceUnrecorded,
)
from orchestration.ids import new_id
from orchestration.storage.leases import Leases
from orchestration.storage.maintenance import JobOutcome, JobRun, MaintenanceRecords
from orchestration.workflows.processes import is_live, this_process

JobFunction = Callable[[datetime], Awaitable[str]]

# The actor of runs that nobody asked for; it is stored.
CALENDAR = "calendar"
_LEASE_PREFIX = "maintenance/"
# A job runs for minutes in a thread while its lease is renewed beside it; a process that dies frees the job after this.
_LEASE_SECONDS = 30.0
# Several attempts within one lease, so that a short outage of the database does not cost the job.
_RENEW_SECONDS = 5.0
# A cron expression is precise to the minute, so a few seconds of delay do not matter.
_POLL_SECONDS = 5.0
# A job whose process died is run once more, but not for ever: it may be the job that killed the process.
_MAX_ATTEMPTS = 2
_MAX_OUTPUT = 20_000


@dataclass(frozen=True, slots=True)
class MaintenanceJob:
    """A job that is run regularly. `work` gets the time and returns a summary; it raises if it failed, and must be safe
    to repeat at any time."""

    name: str
    about: str
    work: JobFunction


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job, when it is due next (None if it is never due by itself), and its last run."""

    job: str
    about: str
    cron: str | None
    due_at: datetime | None
    last: JobRun | None


class _StartRecorder:
    """Passes on that a job was started, and remembers its run."""

    def __init__(self, status: anyio.abc.TaskStatus[JobRun]) -> None:
        self._status = status
        self.run: JobRun | None = None

    def started(self, value: JobRun | None = None) -> None:
        self.run = value
        if value is not None:
            self._status.started(value)


class MaintenanceScheduler:
    """Runs the jobs of a project. `holder` names this process in leases; `settings` returns the present settings."""

    def __init__(
        self,
        jobs: Sequence[MaintenanceJob],
        settings: Callable[[], MaintenanceSettings],
        records: MaintenanceRecords,
        leases: Leases,
        clock: Clock,
        bus: EventBus,
        holder: str,
    ) -> None:
        self._jobs: Mapping[str, MaintenanceJob] = {job.name: job for job in jobs}
        self._settings = settings
        self._records = records
        self._leases = leases
        self._clock = clock
        self._bus = bus
        self._holder = holder
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Run jobs when they are due, until cancelled. Only the leading process calls this.

        A job that was due while no process led is run once, however often it was missed. Each job has its own task, so
        that one that fails or takes long delays no other.
        """
        async with anyio.create_task_group() as group:
            while True:
                # Without the database no job can be claimed; what is due now is still due when the database is back.
                with contextlib.suppress(SQLAlchemyError):
                    # First, because a job that was interrupted is due once more.
                    await anyio.to_thread.run_sync(self._close_interrupted)
                    for job in await anyio.to_thread.run_sync(self._due):
                        group.start_soon(self._run_planned, job)
                await self._clock.sleep(_POLL_SECONDS)

    async def run_now(
        self, name: str, actor: str, *, task_status: anyio.abc.TaskStatus[JobRun] = anyio.TASK_STATUS_IGNORED
    ) -> JobRun:
        """Run a job now on request; returns its run, and informs `task_status` when the job has started.

        Raises NotFoundError, and ConflictError if the job is running already.
        """
        job = self.job(name)
        run = self._new_run(name, actor, None)
        async with self._holding(name) as held:
            if not held:
                raise ConflictError(f"the job {name} is running already; see `orchestrator maintenance history {name}`")
            # Recorded only with the lease in hand: a refused request leaves no run behind that would look
            # interrupted.
            await anyio.to_thread.run_sync(self._records.add_run, run)
            task_status.started(run)
            return await self._run_job(job, run)

    async def start(self, name: str, actor: str, *, task_status: anyio.abc.TaskStatus[JobRun]) -> None:
        """The same for a task group's `start`: once the job has started, an error is recorded and not raised."""
        recorder = _StartRecorder(task_status)
        try:
            await self.run_now(name, actor, task_status=recorder)
        except SQLAlchemyError as error:
            if recorder.run is None:
                raise
            self._bus.publish(MaintenanceUnrecorded(job=name, message=type(error).__name__))

    def job(self, name: str) -> MaintenanceJob:
        """The job of that name. Raises NotFoundError."""
        if name not in self._jobs:
            known = ", ".join(self._jobs)
            raise NotFoundError(f"there is no maintenance job '{name}'; the jobs are {known}")
        return self._jobs[name]

    def statuses(self) -> tuple[JobStatus, ...]:
        """The status of every job. Blocks."""
        return tuple(self._status(job) for job in self._jobs.values())

    def _status(self, job: MaintenanceJob) -> JobStatus:
        settings = self._settings()
        cron = settings.cron_of(job.name)
        last = next(iter(self._records.list_runs(job.name, limit=1)), None)
        due = None
        if cron is not None:
            # From the planned time of the last run and not from its start: a late start must not shift the calendar.
            due = next_due(cron, settings.time_zone, self._records.last_planned(job.name, self._clock.now()))
        return JobStatus(job.name, job.about, cron, due, last)

    def _due(self) -> list[str]:
        """The jobs that are due and that this process is not running already."""
        settings, now = self._settings(), self._clock.now()
        return [name for name in self._jobs if name not in self._busy and self._is_due(name, settings, now)]

    def _is_due(self, name: str, settings: MaintenanceSettings, now: datetime) -> bool:
        cron = settings.cron_of(name)
        if cron is None:
            return False
        planned = self._records.last_planned(name, now)
        due = next_due(cron, settings.time_zone, planned)
        return (due is not None and due <= now) or self._was_interrupted(name, planned)

    def _was_interrupted(self, name: str, planned: datetime) -> bool:
        attempts = [run for run in self._records.list_runs(name, limit=_MAX_ATTEMPTS + 1) if run.planned_at == planned]
        return bool(attempts) and attempts[0].outcome is JobOutcome.INTERRUPTED and len(attempts) < _MAX_ATTEMPTS

    async def _run_planned(self, name: str) -> None:
        if name in self._busy:
            return
        # Before the first await, so that the next round does not start the job a second time.
        self._busy.add(name)
        try:
            async with self._holding(name) as held:
                run = await anyio.to_thread.run_sync(self._claim, name) if held else None
                if run is not None:
                    await self._run_job(self._jobs[name], run)
        except SQLAlchemyError as error:
            self._bus.publish(MaintenanceUnrecorded(job=name, message=type(error).__name__))
        finally:
            self._busy.discard(name)

    def _claim(self, name: str) -> JobRun | None:
        """Claim the planned time that is due; None if another process has claimed it.

        Decided again here, after the lease was acquired: another process may have run the job in between. The compare
        and set of `claim` covers the case that a lease expired while its holder was suspended.
        """
        settings, now = self._settings(), self._clock.now()
        if not self._is_due(name, settings, now):
            return None
        seen = self._records.last_planned(name, now)
        cron = settings.cron_of(name)
        due = None if cron is None else next_due(cron, settings.time_zone, seen)
        missed = cron is not None and due is not None and due <= now
        # Only the newest of several missed times: a backup that was missed five times is needed once.
        planned = last_due(str(cron), settings.time_zone, now) if missed else seen
        run = self._new_run(name, CALENDAR, planned)
        return run if self._records.claim(run, seen) else None

    async def _run_job(self, job: MaintenanceJob, run: JobRun) -> JobRun:
        """Run a job and record its outcome, whatever it is."""
        self._bus.publish(MaintenanceStarted(job=job.name, job_run=run.id), actor=run.actor)
        try:
            output = await job.work(self._clock.now())
        except Exception as error:  # noqa: BLE001 (a job may fail in any way, and the others go on)
            done = self._ended(run, JobOutcome.FAILED, f"{type(error).__name__}: {error}")
        except BaseException:
            # A cancellation. The next leader would close the record as well, but only when it finds the lease free.
            with anyio.CancelScope(shield=True), contextlib.suppress(SQLAlchemyError):
                await self._record(self._ended(run, JobOutcome.INTERRUPTED, "the process was told to stop"))
            raise
        else:
            done = self._ended(run, JobOutcome.SUCCEEDED, output)
        await self._record(done)
        kind = MaintenanceFinished if done.outcome is JobOutcome.SUCCEEDED else MaintenanceFailed
        self._bus.publish(kind(job.name, run.id, done.output[:500]), actor=run.actor)
        return done

    async def _record(self, run: JobRun) -> None:
        at = run.ended_at or self._clock.now()
        await anyio.to_thread.run_sync(self._records.finish_run, run.id, run.outcome, run.output, at)

    def _ended(self, run: JobRun, outcome: JobOutcome, output: str) -> JobRun:
        return replace(run, outcome=outcome, output=output[:_MAX_OUTPUT], ended_at=self._clock.now())

    def _new_run(self, name: str, actor: str, planned: datetime | None) -> JobRun:
        now = self._clock.now()
        return JobRun(new_id("job", now.timestamp()), name, actor, planned, now)

    @contextlib.asynccontextmanager
    async def _holding(self, name: str) -> AsyncIterator[bool]:
        """Hold the lease of a job, so that no other process runs it at the same time; yields whether it was free."""
        # A name for each hold: the lease of the same holder would be renewed instead of refused, and a requested run
        # and a planned one of the same process would run together.
        holder = f"{self._holder}/{new_id('hold', self._clock.now().timestamp())}"
        if not await self._acquire(name, holder):
            yield False
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._renew, name, holder)
            try:
                yield True
            except Exception as error:  # noqa: BLE001 (raised again below, where the group does not wrap it)
                failure = error
            finally:
                # The renewal is cancelled before the release, or it could take the lease again.
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True), contextlib.suppress(SQLAlchemyError):
                    await anyio.to_thread.run_sync(self._leases.release, _LEASE_PREFIX + name, holder)
        if failure is not None:
            raise failure

    async def _renew(self, name: str, holder: str) -> None:
        while True:
            await anyio.sleep(_RENEW_SECONDS)  # leases go by the database's clock
            # Still ours for several more attempts; if it is lost, the compare and set of the next claim decides.
            with contextlib.suppress(SQLAlchemyError):
                await self._acquire(name, holder)

    async def _acquire(self, name: str, holder: str) -> bool:
        about = this_process()
        take = self._leases.acquire
        return await anyio.to_thread.run_sync(lambda: take(_LEASE_PREFIX + name, holder, _LEASE_SECONDS, about))

    def _close_interrupted(self) -> None:
        """Mark runs as interrupted that are recorded as running while no process holds their lease."""
        going = self._records.list_runs(outcomes=[JobOutcome.RUNNING])
        if not going:
            return
        # By their leases and not by their age: a backup of a large database may run for hours.
        held = {lease.name.removeprefix(_LEASE_PREFIX) for lease in self._leases.list(_LEASE_PREFIX) if is_live(lease)}
        for run in going:
            if run.job not in held:
                self._records.finish_run(
                    run.id, JobOutcome.INTERRUPTED, "its process ended before the job did", self._clock.now()
                )
