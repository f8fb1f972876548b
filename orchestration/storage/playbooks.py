"""What playbooks have done: runs on incidents, their actions, and guards that tripped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.storage.database import Database
from orchestration.storage.tables import action_runs, guard_trips, playbook_runs


@dataclass(frozen=True, slots=True)
class PlaybookRun:
    """One playbook at work on one incident."""

    id: str
    incident_id: str
    playbook: str
    version: int
    started_at: datetime
    state: PlaybookRunState = PlaybookRunState.RUNNING
    phase: str = ""
    says: str = ""
    hypotheses: Sequence[Mapping[str, Any]] = ()
    drill: bool = False
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ActionRun:
    """One action of a playbook's run. `key` is the same when the step is repeated after a crash."""

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
    says: str = ""
    findings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    undo: Mapping[str, Any] | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GuardTrip:
    """A guard that held an action back; it stays tripped until a person resets it."""

    id: str
    guard: str
    action: str
    incident_id: str
    because: str
    tripped_at: datetime
    reset_at: datetime | None = None
    reset_by: str | None = None


class PlaybookRecords:
    """The three tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, run: PlaybookRun) -> None:
        """Record a run; recording it again changes nothing."""
        with self._database.write() as connection:
            if connection.execute(sa.select(playbook_runs.c.id).where(playbook_runs.c.id == run.id)).first() is None:
                connection.execute(sa.insert(playbook_runs).values(**_plain(run, playbook_runs)))

    def move(self, run_id: str, **values: Any) -> None:
        """Bring a run up to date."""
        with self._database.write() as connection:
            connection.execute(sa.update(playbook_runs).where(playbook_runs.c.id == run_id).values(**values))

    def runs(
        self, *, incident_id: str | None = None, playbook: str | None = None, limit: int = 50
    ) -> tuple[PlaybookRun, ...]:
        """The newest runs first."""
        query = sa.select(playbook_runs).order_by(playbook_runs.c.started_at.desc(), playbook_runs.c.id.desc())
        if incident_id is not None:
            query = query.where(playbook_runs.c.incident_id == incident_id)
        if playbook is not None:
            query = query.where(playbook_runs.c.playbook == playbook)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(limit))
            return tuple(PlaybookRun(**{**row._mapping, "state": PlaybookRunState(row.state)}) for row in rows)

    def action(self, key: str) -> ActionRun | None:
        """One action; None when it was never begun."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(action_runs).where(action_runs.c.key == key)).one_or_none()
        return None if row is None else _action(row)

    def save(self, action: ActionRun) -> None:
        """Record an action as it now is."""
        values = _plain(action, action_runs)
        with self._database.write() as connection:
            query = sa.update(action_runs).where(action_runs.c.key == action.key)
            if not connection.execute(query.values(**values)).rowcount:
                connection.execute(sa.insert(action_runs).values(**values))

    def undone(self, action: ActionRun, says: str) -> None:
        """Note that an action was taken back."""
        self.save(replace(action, state=ActionState.UNDONE, says=f"{action.says}; taken back: {says}"))

    def actions(self, *, incident_id: str | None = None, run_id: str | None = None) -> tuple[ActionRun, ...]:
        """The actions of an incident or of one run, in their order."""
        query = sa.select(action_runs).order_by(action_runs.c.started_at, action_runs.c.key)
        if incident_id is not None:
            query = query.where(action_runs.c.incident_id == incident_id)
        if run_id is not None:
            query = query.where(action_runs.c.run_id == run_id)
        with self._database.read() as connection:
            return tuple(_action(row) for row in connection.execute(query))

    def automatic_since(self, action: str, since: datetime) -> tuple[datetime, ...]:
        """When an action changed something by itself since then."""
        query = sa.select(action_runs.c.started_at).where(
            action_runs.c.action == action,
            action_runs.c.started_at > since,
            action_runs.c.mode == "auto",
            action_runs.c.state.in_([ActionState.DONE.value, ActionState.FAILED.value, ActionState.UNDONE.value]),
        )
        with self._database.read() as connection:
            return tuple(connection.execute(query).scalars())

    def trip(self, trip: GuardTrip) -> None:
        """Note that a guard has tripped, once for each action while it is not reset."""
        if self.tripped(trip.action) is None:
            with self._database.write() as connection:
                connection.execute(sa.insert(guard_trips).values(**_plain(trip, guard_trips)))

    def tripped(self, action: str) -> GuardTrip | None:
        """The trip of an action that nobody has reset."""
        found = [trip for trip in self.trips() if trip.action == action]
        return found[0] if found else None

    def trips(self) -> tuple[GuardTrip, ...]:
        """All guards that are tripped now."""
        query = sa.select(guard_trips).where(guard_trips.c.reset_at.is_(None)).order_by(guard_trips.c.tripped_at)
        with self._database.read() as connection:
            return tuple(GuardTrip(**row._mapping) for row in connection.execute(query))

    def reset(self, action: str, by: str, at: datetime) -> int:
        """A person's word that an action may run by itself again; returns how many trips that ended."""
        query = sa.update(guard_trips).where(guard_trips.c.action == action, guard_trips.c.reset_at.is_(None))
        with self._database.write() as connection:
            return connection.execute(query.values(reset_at=at, reset_by=by)).rowcount


def as_json(record: Any) -> dict[str, Any]:
    """A record as JSON values, for the engine's store."""
    return {name: _json_value(getattr(record, name)) for name in record.__dataclass_fields__}


def action_from_json(data: Mapping[str, Any]) -> ActionRun:
    """The record that `as_json` wrote."""
    moments = {name: datetime.fromisoformat(data[name]) for name in ("started_at", "finished_at") if data[name]}
    return ActionRun(**{**data, **moments, "state": ActionState(data["state"])})


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    return [_json_value(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plain(record: PlaybookRun | ActionRun | GuardTrip, table: sa.Table) -> dict[str, Any]:
    values = {column.name: getattr(record, column.name) for column in table.columns}
    return {
        name: value.value if isinstance(value, StrEnum) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def _action(row: sa.Row[Any]) -> ActionRun:
    return ActionRun(**{**row._mapping, "state": ActionState(row.state)})
