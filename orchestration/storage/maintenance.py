"""What maintenance keeps: planned times, runs of jobs, sign-offs; and the old rows that it takes away."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.domain.run_status import RunStatus
from orchestration.storage.database import Database
from orchestration.storage.tables import (
    events,
    heartbeats,
    maintenance_duties,
    maintenance_jobs,
    maintenance_runs,
    runs,
)

# By how much the clocks of two control processes may differ.
_SKEW = timedelta(hours=1)


class JobOutcome(StrEnum):
    """How a run of a job came out. `interrupted`: its process ended before it did."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job. `planned_at` is None where a person asked for it; `output` is what it has to say."""

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
    """Something that a person does once in a period (`2026-03`) and signs off; not signed while `signed_at` is None."""

    duty: str
    period: str
    asked_at: datetime
    signed_at: datetime | None = None
    signed_by: str = ""
    note: str = ""


class MaintenanceRecords:
    """Jobs and duties in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_planned(self, job: str, now: datetime) -> datetime:
        """The last planned time of a job that was taken on.

        Of a job never seen before it is `now`, and so it is for a time that is still to come: the clock has been set
        back since, and nothing would be done until then. Either is kept.
        """
        query = sa.select(maintenance_jobs.c.planned_at).where(maintenance_jobs.c.job == job)
        with self._database.read() as connection:
            found: datetime | None = connection.execute(query).scalar()
        if found is not None and found <= now + _SKEW:
            return found
        with self._database.write(exclusive=f"maintenance/{job}") as connection:
            connection.execute(sa.delete(maintenance_jobs).where(maintenance_jobs.c.job == job))
            connection.execute(sa.insert(maintenance_jobs).values(job=job, planned_at=now))
        return now

    def claim(self, run: JobRun, seen: datetime) -> bool:
        """Take on a planned time and record the run that begins, unless somebody has since the time `seen` was read."""
        table = maintenance_jobs
        query = sa.update(table).where(table.c.job == run.job, table.c.planned_at == seen)
        with self._database.write(exclusive=f"maintenance/{run.job}") as connection:
            if not connection.execute(query.values(planned_at=run.planned_at)).rowcount:
                return False
            connection.execute(sa.insert(maintenance_runs).values(**_run_values(run)))
            return True

    def add_run(self, run: JobRun) -> None:
        """Record a run that a person asked for."""
        with self._database.write() as connection:
            connection.execute(sa.insert(maintenance_runs).values(**_run_values(run)))

    def finish_run(self, run_id: str, outcome: JobOutcome, output: str, at: datetime) -> None:
        """Record how a run came out; what is over already stays as it is."""
        mine = (maintenance_runs.c.id == run_id) & (maintenance_runs.c.outcome == JobOutcome.RUNNING.value)
        with self._database.write() as connection:
            values = {"outcome": outcome.value, "output": output, "ended_at": at}
            connection.execute(sa.update(maintenance_runs).where(mine).values(**values))

    def list_runs(
        self, job: str | None = None, *, outcomes: Collection[JobOutcome] = (), limit: int = 50
    ) -> tuple[JobRun, ...]:
        """The newest runs first, of one job or of all."""
        query = sa.select(maintenance_runs).order_by(maintenance_runs.c.started_at.desc(), maintenance_runs.c.id.desc())
        if job is not None:
            query = query.where(maintenance_runs.c.job == job)
        if outcomes:
            query = query.where(maintenance_runs.c.outcome.in_([one.value for one in outcomes]))
        with self._database.read() as connection:
            return tuple(_run(row) for row in connection.execute(query.limit(limit)))

    def request_sign_off(self, duty: str, period: str, at: datetime) -> None:
        """Ask for a duty, once a period."""
        key = (maintenance_duties.c.duty == duty) & (maintenance_duties.c.period == period)
        with self._database.write(exclusive="maintenance/duties") as connection:
            if connection.execute(sa.select(sa.func.count()).where(key)).scalar():
                return
            values = {"duty": duty, "period": period, "asked_at": at, "signed_by": "", "note": ""}
            connection.execute(sa.insert(maintenance_duties).values(**values))

    def sign_off(self, duty: str, by: str, note: str, at: datetime) -> int:
        """Sign off everything that is open of a duty. Returns how many periods that were."""
        is_open = (maintenance_duties.c.duty == duty) & maintenance_duties.c.signed_at.is_(None)
        query = sa.update(maintenance_duties).where(is_open)
        with self._database.write() as connection:
            return connection.execute(query.values(signed_at=at, signed_by=by, note=note)).rowcount

    def list_sign_offs(self, *, only_open: bool = False, limit: int = 50) -> tuple[SignOff, ...]:
        """The newest duties first, all or those that nobody has signed."""
        query = sa.select(maintenance_duties).order_by(maintenance_duties.c.period.desc(), maintenance_duties.c.duty)
        if only_open:
            query = query.where(maintenance_duties.c.signed_at.is_(None))
        with self._database.read() as connection:
            return tuple(SignOff(**row._mapping) for row in connection.execute(query.limit(limit)))


class OldRows:
    """Rows that have been kept long enough. All is taken away in batches, so that no writer waits long."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def delete_events(self, before: datetime, batch: int) -> int:
        """Delete at most so many events from before a moment; returns how many.

        Those of unfinished runs stay, and the newest sign of a backup: how old it is has to be known.
        """
        unfinished = sa.select(runs.c.id).where(runs.c.status.not_in([one.value for one in RunStatus if one.ended]))
        last_backup = sa.select(sa.func.max(events.c.sequence)).where(events.c.kind == "backup.made")
        of_ended = sa.or_(events.c.run_id.is_(None), events.c.run_id.not_in(unfinished))
        kept = sa.func.coalesce(last_backup.scalar_subquery(), -1)
        old = sa.select(events.c.sequence).where(events.c.at < before, of_ended, events.c.sequence != kept)
        chosen = old.order_by(events.c.sequence).limit(batch)
        with self._database.write() as connection:
            return connection.execute(sa.delete(events).where(events.c.sequence.in_(chosen))).rowcount

    def delete_heartbeats(self, before: datetime) -> int:
        """Delete the heartbeats of runs that ended before a moment; returns how many."""
        ended = sa.select(runs.c.id).where(runs.c.finished_at < before)
        with self._database.write() as connection:
            return connection.execute(sa.delete(heartbeats).where(heartbeats.c.run_id.in_(ended))).rowcount

    def unfinished(self, run_ids: Collection[str]) -> frozenset[str]:
        """Those of these runs that have not come to an end."""
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
