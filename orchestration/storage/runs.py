"""Runs: what was requested, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunEnding, RunStatus
from orchestration.errors import ConflictError, NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.tables import runs

# The option that names the folder of a run's worktree.
WORKTREE = "worktree"
# The option of a run that writes into the user's own folder, because somebody asked for that.
IN_PLACE = "in_place"
# Transactions in which such a run gets its folder exclude each other.
_PLACES = "runs in place"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a workflow on a goal.

    `origin` tells people where it came from: a schedule, a fork of another run. While it does not go on, `hold` is the
    kind of cause, `held_by` the incident whose response caused it, and `reason` the sentence for people.

    `attempt` counts from 1. A run that is resumed after it failed or was stopped begins another attempt, which works
    with the configuration in force; one that goes on after a crash is still the same attempt.
    """

    id: str
    goal: str
    workspace: str
    created_at: datetime
    status: RunStatus = RunStatus.QUEUED
    reason: str = ""
    agent: str | None = None
    provider: str | None = None
    priority: str = "normal"
    origin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    config_version: int | None = None
    outcome: Mapping[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    hold: RunHold | None = None
    held_by: str | None = None
    forked_from: str | None = None
    attempt: int = 1

    @property
    def folder(self) -> str:
        """Where its agents work: its git worktree, or the workspace itself."""
        return str(self.options.get(WORKTREE) or self.workspace)

    @property
    def has_worktree(self) -> bool:
        return bool(self.options.get(WORKTREE))

    @property
    def branch(self) -> str:
        """The branch of its worktree."""
        return f"orchestrator/{self.id}"


class PlaceTakenError(ConflictError):
    """Another run works in the folder."""

    def __init__(self, holder: Run) -> None:
        super().__init__(
            f"{holder.id} works in {holder.workspace}, and two runs in one folder would mix their changes; wait for "
            "its end, cancel it, or start this one without --in-place"
        )
        self.holder = holder


def are_in_one_place(run: Run, other: Run) -> bool:
    """Whether both work in one folder of the user's, or one in a folder around the other's. Pure: workspaces are
    recorded without links."""
    if not (run.options.get(IN_PLACE) and other.options.get(IN_PLACE)) or run.id == other.id:
        return False
    one, two = Path(run.workspace), Path(other.workspace)
    return one == two or one in two.parents or two in one.parents


def ending_of(run: Run) -> RunEnding | None:
    """How a run ended by itself; None if it has not, or ended under a release that did not record it."""
    known = (run.outcome or {}).get("ending")
    return RunEnding(known) if known in set(RunEnding) else None


# A run that is worked on is held by nothing, and what ended or held it before is over.
_AT_WORK = {"status": RunStatus.RUNNING.value, "reason": "", "hold": None, "held_by": None}


class Runs:
    """The runs in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: Run) -> None:
        """Record a new run. Raises PlaceTakenError if it is to work in a folder in which another run works."""
        with self._database.write(exclusive=_PLACES if run.options.get(IN_PLACE) else None) as connection:
            _check_place(connection, run)
            connection.execute(sa.insert(runs).values(**_values(run)))

    def get(self, run_id: str) -> Run:
        """The run of that identifier. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no run '{run_id}'. `orchestrator runs list` shows all.")
        return _run(row)

    def find(self, text: str) -> Run:
        """The one run whose identifier starts or ends with `text`; `latest` is the newest. Raises NotFoundError."""
        if text == "latest":
            newest = self.list(limit=1)
            if newest:
                return newest[0]
            raise NotFoundError("There are no runs yet. Start one with `orchestrator run`.")
        with self._database.read() as connection:
            like = runs.c.id.startswith(text, autoescape=True) | runs.c.id.endswith(text, autoescape=True)
            rows = connection.execute(sa.select(runs).where((runs.c.id == text) | like).limit(10)).all()
        exact = [row for row in rows if row.id == text]
        if len(exact or rows) == 1:
            return _run((exact or rows)[0])
        if rows:
            names = ", ".join(row.id for row in rows)
            raise NotFoundError(f"'{text}' is ambiguous: it matches {names}. Type more of the identifier.")
        return self.get(text)

    def list(
        self,
        statuses: Sequence[RunStatus] = (),
        limit: int = 50,
        *,
        before: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[Run, ...]:
        """Runs of the given statuses or of all, newest first, created since a time and before another; `before`
        continues after the run with that identifier."""
        newest = (runs.c.created_at.desc(), runs.c.id.desc())
        # The identifiers alone are sorted: with all that came out of thousands of runs, their rows take long to sort.
        query = sa.select(runs.c.id).order_by(*newest).limit(limit)
        if statuses:
            query = query.where(runs.c.status.in_([status.value for status in statuses]))
        if since is not None:
            query = query.where(runs.c.created_at >= since)
        if until is not None:
            query = query.where(runs.c.created_at < until)
        if before is not None:
            # A position and not an offset, which every new run would shift.
            created = sa.select(runs.c.created_at).where(runs.c.id == before).scalar_subquery()
            same = (runs.c.created_at == created) & (runs.c.id < before)
            query = query.where((runs.c.created_at < created) | same)
        with self._database.read() as connection:
            found = sa.select(runs).where(runs.c.id.in_(query.scalar_subquery())).order_by(*newest)
            return tuple(_run(row) for row in connection.execute(found))

    def list_of(self, ids: Sequence[str]) -> tuple[Run, ...]:
        """The runs of these identifiers, newest first; those that are unknown are left out."""
        query = sa.select(runs).where(runs.c.id.in_(ids)).order_by(runs.c.created_at.desc(), runs.c.id.desc())
        with self._database.read() as connection:
            return tuple(_run(row) for row in connection.execute(query))

    def list_forks(self, run: Run, limit: int = 50) -> tuple[Run, ...]:
        """The forks of a run, newest first."""
        # The time keeps the search to the newer part of an index; there is none by origin, for which nobody else asks.
        query = sa.select(runs).where(runs.c.created_at >= run.created_at, runs.c.forked_from == run.id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(runs.c.created_at.desc()).limit(limit))
            return tuple(_run(row) for row in rows)

    def count_by_status(self, since: datetime | None = None, until: datetime | None = None) -> dict[RunStatus, int]:
        """The number of runs of each status, created since a time or ever, and before another; statuses without runs
        are left out."""
        query = sa.select(runs.c.status, sa.func.count()).group_by(runs.c.status)
        if since is not None:
            query = query.where(runs.c.created_at >= since)
        if until is not None:
            query = query.where(runs.c.created_at < until)
        with self._database.read() as connection:
            return {RunStatus(status): count for status, count in connection.execute(query)}

    def set_status(
        self,
        run_id: str,
        status: RunStatus,
        reason: str = "",
        *,
        hold: RunHold | None = None,
        held_by: str | None = None,
        **values: Any,
    ) -> bool:
        """Move a run on; False, and no change, when it has ended already (a cancelled run stays cancelled).

        What held the run before is forgotten unless it is given again.
        """
        # The condition is part of the update: a person may cancel the run after the caller has read its status.
        ended = [status.value for status in RunStatus if status.ended]
        query = sa.update(runs).where(runs.c.id == run_id, runs.c.status.not_in(ended))
        with self._database.write() as connection:
            done = connection.execute(
                query.values(status=status.value, reason=reason, hold=hold, held_by=held_by, **values)
            )
            return bool(done.rowcount)

    def explain(self, run: Run, reason: str) -> None:
        """Say why a run stays in its status, if it is still in it."""
        same = (runs.c.id == run.id) & (runs.c.status == run.status.value)
        with self._database.write() as connection:
            connection.execute(sa.update(runs).where(same).values(reason=reason))

    def set_options(self, run_id: str, options: Mapping[str, Any]) -> None:
        """Replace the options of a run."""
        with self._database.write() as connection:
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(options=dict(options)))

    def begin(self, run_id: str, at: datetime) -> None:
        """Let a run that was queued, waits or was stopped go on, unless it has ended. Raises PlaceTakenError if another
        run works in its folder by now."""
        with self._database.write(exclusive=_PLACES) as connection:
            run = _run(connection.execute(sa.select(runs).where(runs.c.id == run_id)).one())
            if run.status.ended:
                return
            _check_place(connection, run)
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run_id)
                .values(
                    **_AT_WORK,
                    started_at=run.started_at or at,
                )
            )

    def reopen(self, run_id: str, *, new_attempt: bool = False) -> None:
        """Set an ended run back to running, for another attempt or to go on with the same. Raises PlaceTakenError if
        another run works in its folder."""
        counted = sa.func.coalesce(runs.c.attempt, 1)
        with self._database.write(exclusive=_PLACES) as connection:
            row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
            if row is not None:
                _check_place(connection, _run(row))
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run_id)
                .values(
                    **_AT_WORK,
                    finished_at=None,
                    outcome=None,
                    attempt=counted + 1 if new_attempt else counted,
                )
            )


def _check_place(connection: sa.Connection, run: Run) -> None:
    """Raise PlaceTakenError if another run, which neither has ended nor was stopped, works in the folder of this."""
    if not run.options.get(IN_PLACE):
        return
    at_work = [status.value for status in RunStatus if not status.ended and status is not RunStatus.STOPPED]
    for row in connection.execute(sa.select(runs).where(runs.c.status.in_(at_work)).order_by(runs.c.created_at)):
        if are_in_one_place(run, other := _run(row)):
            raise PlaceTakenError(other)


def _values(run: Run) -> dict[str, Any]:
    return {column.name: getattr(run, column.name) for column in runs.columns} | {
        "status": run.status.value,
        "options": dict(run.options),
        "outcome": None if run.outcome is None else dict(run.outcome),
    }


def _run(row: sa.Row[Any]) -> Run:
    hold = None if row.hold is None else RunHold(row.hold)
    # Rows of earlier versions have no number.
    attempt = 1 if row.attempt is None else row.attempt
    return Run(**{**row._mapping, "status": RunStatus(row.status), "hold": hold, "attempt": attempt})
