"""The records of maintenance: planned times, runs of jobs, sign-offs; and the old rows that it deletes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.domain.run_status import RunStatus
from orchestration.events.maintenance import BackupCreated
from orchestration.storage.database import Database
from orchestration.storage.tables import (
    events,
    heartbeats,
    maintenance_duties,
    maintenance_jobs,
    maintenance_runs,
    model_responses,
    runs,
)

# The clocks of two control processes may differ by this much.
_SKEW = timedelta(hours=1)


class JobOutcome(StrEnum):
    """The outcome of a run of a job. `interrupted`: its process ended first."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job. `planned_at` is None if a person requested it; `output` is its result in words."""

    id: str
    job: str
    actor: str
    planned_at: datetime | None
    started_at: datetime
    ended_at: datetime | None = None
    outcome: JobOutcome = JobOutcome.RUNNING
    output: str = ""


@dataclass(frozen=True, slots=True)
class SignOff:
    """A duty that a person carries out and signs off once in a period (`2026-03`); open while `signed_at` is None."""

    duty: str
    period: str
    asked_at: datetime
    signed_at: datetime | None = None
    signed_by: str = ""
    note: str = ""


class MaintenanceRecords:
    """Jobs and sign-offs in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_planned(self, job: str, now: datetime) -> datetime:
        """The last planned time of a job that a process claimed.

        For a new job this is `now`, so that it does not run at once. It is also `now` if the stored time is in the
        future: the clock has been set back since, and the job would not run until then. Either is stored.
        """
        query = sa.select(maintenance_jobs.c.planned_at).where(maintenance_jobs.c.job == job)
        with self._database.read() as connection:
            found: datetime | None = connection.execute(query).scalar()
        if found is not None and found <= now + _SKEW:
            return found
        # Under the same name as in `claim`, so that no process claims a time while another one replaces it.
        with self._database.write(exclusive=f"maintenance/{job}") as connection:
            connection.execute(sa.delete(maintenance_jobs).where(maintenance_jobs.c.job == job))
            connection.execute(sa.insert(maintenance_jobs).values(job=job, planned_at=now))
        return now

    def claim(self, run: JobRun, seen: datetime) -> bool:
        """Claim a planned time and record its run; False if another process has claimed one since `seen` was read."""
        table = maintenance_jobs
        query = sa.update(table).where(table.c.job == run.job, table.c.planned_at == seen)
        with self._database.write(exclusive=f"maintenance/{run.job}") as connection:
            if not connection.execute(query.values(planned_at=run.planned_at)).rowcount:
                return False
            connection.execute(sa.insert(maintenance_runs).values(**_run_values(run)))
            return True

    def add_run(self, run: JobRun) -> None:
        """Record a run that a person requested."""
        with self._database.write() as connection:
            connection.execute(sa.insert(maintenance_runs).values(**_run_values(run)))

    def finish_run(self, run_id: str, outcome: JobOutcome, output: str, at: datetime) -> None:
        """Record the outcome of a run; one that has an outcome keeps it."""
        # A new leader may have closed the run as interrupted; a process that reports late must not overwrite that.
        mine = (maintenance_runs.c.id == run_id) & (maintenance_runs.c.outcome == JobOutcome.RUNNING.value)
        with self._database.write() as connection:
            values = {"outcome": outcome.value, "output": output, "ended_at": at}
            connection.execute(sa.update(maintenance_runs).where(mine).values(**values))

    def list_runs(
        self, job: str | None = None, *, outcomes: Collection[JobOutcome] = (), limit: int = 50
    ) -> tuple[JobRun, ...]:
        """Runs, newest first, of one job or of all."""
        query = sa.select(maintenance_runs).order_by(maintenance_runs.c.started_at.desc(), maintenance_runs.c.id.desc())
        if job is not None:
            query = query.where(maintenance_runs.c.job == job)
        if outcomes:
            query = query.where(maintenance_runs.c.outcome.in_([one.value for one in outcomes]))
        with self._database.read() as connection:
            return tuple(_run(row) for row in connection.execute(query.limit(limit)))

    def request_sign_off(self, duty: str, period: str, at: datetime) -> None:
        """Request the sign-off of a duty, once per period."""
        key = (maintenance_duties.c.duty == duty) & (maintenance_duties.c.period == period)
        with self._database.write(exclusive="maintenance/duties") as connection:
            if connection.execute(sa.select(sa.func.count()).where(key)).scalar():
                return
            values = {"duty": duty, "period": period, "asked_at": at, "signed_by": "", "note": ""}
            connection.execute(sa.insert(maintenance_duties).values(**values))

    def sign_off(self, duty: str, by: str, note: str, at: datetime) -> int:
        """Sign off a duty for all open periods; returns how many there were."""
        is_open = (maintenance_duties.c.duty == duty) & maintenance_duties.c.signed_at.is_(None)
        query = sa.update(maintenance_duties).where(is_open)
        with self._database.write() as connection:
            return connection.execute(query.values(signed_at=at, signed_by=by, note=note)).rowcount

    def list_sign_offs(self, *, only_open: bool = False, limit: int = 50) -> tuple[SignOff, ...]:
        """Sign-offs, newest first, all or only open ones."""
        query = sa.select(maintenance_duties).order_by(maintenance_duties.c.period.desc(), maintenance_duties.c.duty)
        if only_open:
            query = query.where(maintenance_duties.c.signed_at.is_(None))
        with self._database.read() as connection:
            return tuple(SignOff(**row._mapping) for row in connection.execute(query.limit(limit)))


class OldRows:
    """Rows past their retention. They are deleted in batches, so that no writer waits long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delete_events(self, before: datetime, batch: int) -> int:
        """Delete at most `batch` events from before a time; returns how many.

        Events of unfinished runs stay, and so does the newest event of a backup: its age is monitored.
        """
        unfinished = sa.select(runs.c.id).where(runs.c.status.not_in([one.value for one in RunStatus if one.ended]))
        last_backup = sa.select(sa.func.max(events.c.sequence)).where(events.c.kind == BackupCreated.kind)
        # For an event without a run, `NOT IN` compares NULL, and is not true either.
        of_ended = sa.or_(events.c.run_id.is_(None), events.c.run_id.not_in(unfinished))
        # A comparison with NULL is never true: without any backup, nothing would be deleted.
        kept = sa.func.coalesce(last_backup.scalar_subquery(), -1)
        old = sa.select(events.c.sequence).where(events.c.at < before, of_ended, events.c.sequence != kept)
        # In a subquery, because PostgreSQL has no DELETE with LIMIT, and SQLite has it only where it was compiled in:
        # https://sqlite.org/lang_delete.html#optional_limit_and_order_by_clauses
        chosen = old.order_by(events.c.sequence).limit(batch)
        with self._database.write() as connection:
            return connection.execute(sa.delete(events).where(events.c.sequence.in_(chosen))).rowcount

    def delete_responses(self, before: datetime) -> int:
        """Delete the responses from before a time that were kept for clients of the gateway; returns how many."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(model_responses).where(model_responses.c.created_at < before)).rowcount

    def delete_heartbeats(self, before: datetime) -> int:
        """Delete the heartbeats of runs that ended before a time; returns how many."""
        ended = sa.select(runs.c.id).where(runs.c.finished_at < before)
        with self._database.write() as connection:
            return connection.execute(sa.delete(heartbeats).where(heartbeats.c.run_id.in_(ended))).rowcount

    def unfinished(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of the runs that have not ended."""
        ended = [one.value for one in RunStatus if one.ended]
        query = sa.select(runs.c.id).where(runs.c.id.in_(list(run_ids)), runs.c.status.not_in(ended))
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())


def _run_values(run: JobRun) -> dict[str, Any]:
    return {column.name: getattr(run, column.name) for column in maintenance_runs.columns} | {
        "outcome": run.outcome.value
    }


def _run(row: sa.Row[Any]) -> JobRun:
    return JobRun(**{**row._mapping, "outcome": JobOutcome(row.outcome)})
