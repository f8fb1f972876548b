"""What playbooks have done: their runs on incidents, the actions of those runs, and the guards that tripped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AliasChoices, Field, TypeAdapter

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.storage.database import Database
from orchestration.storage.tables import action_runs, guard_trips, playbook_runs

# One sentence for people. In the database, in JSON and in what the engine has stored it is called `says`, as it was in
# version 0.1: programs of users read it there.
Summary = Annotated[str, Field(validation_alias=AliasChoices("summary", "says"), serialization_alias="says")]


@dataclass(frozen=True, slots=True)
class RankedHypothesis:
    """A likely cause, with the facts that speak for it. `source` is `rules`, or the name of an agent that has no power
    to act."""

    id: str
    summary: Summary
    weight: int
    evidence: Mapping[str, Any] = field(default_factory=dict)
    points_to: str | None = None
    source: str = "rules"


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """One run of a playbook on one incident. `helped` is the option after which the verification held."""

    id: str
    incident_id: str
    playbook: str
    version: int
    started_at: datetime
    state: PlaybookRunState = PlaybookRunState.RUNNING
    phase: str = ""
    summary: Summary = ""
    hypotheses: Sequence[RankedHypothesis] = ()
    drill: bool = False
    finished_at: datetime | None = None
    helped: str | None = None


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action of a playbook run. `key` stays the same when the step is repeated after a crash.

    A check that a verification repeats is one record for as long as its answer stays the same: `count` says how often
    it was made, `started_at` when first, and `finished_at` when last.
    """

    key: str
    run_id: str
    incident_id: str
    phase: str
    step: str
    action: str
    risk: str
    mode: str
    state: ActionState
    started_at: datetime
    actor: str
    guard: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    summary: Summary = ""
    findings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undo: Mapping[str, Any] | None = None
    finished_at: datetime | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class MitigationStep:
    """What became of one step of a mitigation in a run."""

    run_id: str
    step: str
    state: ActionState


@dataclass(frozen=True, slots=True)
class GuardTrip:
    """A guard that held an action back. It stays tripped until a person resets it."""

    id: str
    guard: str
    action: str
    incident_id: str
    because: str
    tripped_at: datetime
    reset_at: datetime | None = None
    reset_by: str | None = None


# Bound parameters of one statement: older SQLite allows 999.
_MOST_IDS = 500
_ACTED = (ActionState.STARTED, ActionState.DONE, ActionState.FAILED, ActionState.UNDONE)


class PlaybookRecords:
    """The runs of playbooks, their actions and tripped guards, in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_run(self, run: PlaybookRun) -> None:
        """Record a run; recording it again changes nothing."""
        with self._database.write() as connection:
            # After a crash the engine repeats the step that records the run, with the same identifier.
            if connection.execute(sa.select(playbook_runs.c.id).where(playbook_runs.c.id == run.id)).first() is None:
                connection.execute(sa.insert(playbook_runs).values(**_values(run, playbook_runs)))

    def update_run(self, run_id: str, **values: Any) -> None:
        """Change some fields of a run."""
        plain = {name: _plain(value) for name, value in values.items()}
        with self._database.write() as connection:
            connection.execute(sa.update(playbook_runs).where(playbook_runs.c.id == run_id).values(**plain))

    def list_runs(
        self, *, incident_id: str | None = None, playbook: str | None = None, limit: int = 50
    ) -> tuple[PlaybookRun, ...]:
        """The newest runs first."""
        query = sa.select(playbook_runs).order_by(playbook_runs.c.started_at.desc(), playbook_runs.c.id.desc())
        if incident_id is not None:
            query = query.where(playbook_runs.c.incident_id == incident_id)
        if playbook is not None:
            query = query.where(playbook_runs.c.playbook == playbook)
        with self._database.read() as connection:
            return tuple(_run(row) for row in connection.execute(query.limit(limit)))

    def newest_run(self, incident_id: str) -> PlaybookRun | None:
        """The newest run on an incident; None if no playbook has run on it."""
        return next(iter(self.list_runs(incident_id=incident_id, limit=1)), None)

    def find_action(self, key: str) -> ActionRun | None:
        """One action; None if it was never started."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(action_runs).where(action_runs.c.key == key)).one_or_none()
        return None if row is None else _action(row)

    def save_action(self, action: ActionRun) -> None:
        """Store an action in its present state."""
        values = _values(action, action_runs)
        with self._database.write() as connection:
            query = sa.update(action_runs).where(action_runs.c.key == action.key)
            if not connection.execute(query.values(**values)).rowcount:
                connection.execute(sa.insert(action_runs).values(**values))

    def find_check(self, run_id: str, phase: str, step: str, before: str) -> ActionRun | None:
        """The newest record of a step in a phase, unless an action of the phase `before` it has begun since."""
        later = action_runs.alias()
        begun = sa.exists().where(
            later.c.run_id == run_id, later.c.phase == before, later.c.started_at > action_runs.c.started_at
        )
        same = (action_runs.c.run_id == run_id) & (action_runs.c.phase == phase) & (action_runs.c.step == step)
        newest = (action_runs.c.started_at.desc(), action_runs.c.key.desc())
        with self._database.read() as connection:
            row = connection.execute(
                sa.select(action_runs).where(same, ~begun).order_by(*newest).limit(1)
            ).one_or_none()
        return None if row is None else _action(row)

    def mark_undone(self, action: ActionRun, summary: str) -> ActionRun:
        """Record that an action was undone; returns the new record."""
        undone = replace(action, state=ActionState.UNDONE, summary=f"{action.summary}; undone: {summary}")
        self.save_action(undone)
        return undone

    def list_actions(self, *, incident_id: str | None = None, run_id: str | None = None) -> tuple[ActionRun, ...]:
        """The actions of an incident or of one run, in order."""
        query = sa.select(action_runs).order_by(action_runs.c.started_at, action_runs.c.key)
        if incident_id is not None:
            query = query.where(action_runs.c.incident_id == incident_id)
        if run_id is not None:
            query = query.where(action_runs.c.run_id == run_id)
        with self._database.read() as connection:
            return tuple(_action(row) for row in connection.execute(query))

    def list_mitigation_steps(self, run_ids: Sequence[str]) -> tuple[MitigationStep, ...]:
        """What became of the steps of the mitigations in these runs."""
        columns = (action_runs.c.run_id, action_runs.c.step, action_runs.c.state)
        found: list[MitigationStep] = []
        with self._database.read() as connection:
            for first in range(0, len(run_ids), _MOST_IDS):
                some = run_ids[first : first + _MOST_IDS]
                query = sa.select(*columns).where(action_runs.c.run_id.in_(some), action_runs.c.phase == "mitigate")
                found += [
                    MitigationStep(run, step, ActionState(state)) for run, step, state in connection.execute(query)
                ]
        return tuple(found)

    def automatic_since(self, action: str, since: datetime) -> tuple[datetime, ...]:
        """The times since then at which an action changed something without a person."""
        query = sa.select(action_runs.c.started_at).where(
            action_runs.c.action == action,
            action_runs.c.started_at > since,
            action_runs.c.mode == "auto",
            # One that failed, or whose process died in it, may have changed something half-way, so it counts towards
            # the limit; one that a guard held back does not.
            action_runs.c.state.in_([state.value for state in _ACTED]),
        )
        with self._database.read() as connection:
            return tuple(connection.execute(query).scalars())

    def add_trip(self, trip: GuardTrip) -> None:
        """Record that a guard tripped, once per action until it is reset."""
        # Not locked: if two processes record a trip at once, `reset_trips` ends both of them together.
        if self.find_trip(trip.action) is None:
            with self._database.write() as connection:
                connection.execute(sa.insert(guard_trips).values(**_values(trip, guard_trips)))

    def find_trip(self, action: str) -> GuardTrip | None:
        """The trip of an action that nobody has reset yet."""
        found = [trip for trip in self.list_trips() if trip.action == action]
        return found[0] if found else None

    def list_trips(self) -> tuple[GuardTrip, ...]:
        """All guards that are tripped now."""
        query = sa.select(guard_trips).where(guard_trips.c.reset_at.is_(None)).order_by(guard_trips.c.tripped_at)
        with self._database.read() as connection:
            return tuple(GuardTrip(**row._mapping) for row in connection.execute(query))

    def reset_trips(self, action: str, by: str, at: datetime) -> int:
        """Allow an action to run automatically again; returns how many trips that ended."""
        query = sa.update(guard_trips).where(guard_trips.c.action == action, guard_trips.c.reset_at.is_(None))
        with self._database.write() as connection:
            return connection.execute(query.values(reset_at=at, reset_by=by)).rowcount


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def as_public(record: Any) -> Any:
    """Records as the JSON that the console and the API give, by the public names of their fields."""
    if isinstance(record, list | tuple):
        return [as_public(one) for one in record]
    # An adapter for `Any` would not know the names that the fields of a record declare.
    kind: Any = type(record) if is_dataclass(record) else Any
    return _adapter(kind).dump_python(record, mode="json", by_alias=True)


def _plain(value: Any) -> Any:
    """A value as its column stores it."""
    if isinstance(value, StrEnum):
        return value.value
    # A JSON column: records in it become objects.
    return as_public(value) if isinstance(value, list | tuple) else value


def _values(record: PlaybookRun | ActionRun | GuardTrip, table: sa.Table) -> dict[str, Any]:
    return {column.key: _plain(getattr(record, column.key)) for column in table.columns}


def _fields(row: sa.Row[Any], table: sa.Table) -> dict[str, Any]:
    # A row's keys are the names of the columns in the database; a record's are the keys of the table.
    return {column.key: row._mapping[column] for column in table.columns}


_CAUSES = TypeAdapter(tuple[RankedHypothesis, ...])


def _run(row: sa.Row[Any]) -> PlaybookRun:
    causes = _CAUSES.validate_python(row.hypotheses)
    return PlaybookRun(**{**_fields(row, playbook_runs), "state": PlaybookRunState(row.state), "hypotheses": causes})


def _action(row: sa.Row[Any]) -> ActionRun:
    return ActionRun(**{**_fields(row, action_runs), "state": ActionState(row.state)})
