"""Incidents: their rows, documents, timelines, timers, SLA records, and the settings they were declared under.

Methods that change an incident take a connection, so that they are part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.incidents import lists
from orchestration.storage.tables import (
    incident_clocks,
    incident_documents,
    incident_entries,
    incident_policies,
    incident_timers,
    incidents,
)

Values = Mapping[str, Any]
_LAST_CHARACTER = "\uffff"  # sorts behind every character of an identifier
# With what the key of a storm begins, behind the mark of a drill.
STORM_PREFIX = "storm:"
# Bound parameters of one statement: older SQLite allows 999.
_MOST_IDS = 500
# Terms of one compound query: SQLite allows 500 (https://sqlite.org/limits.html).
_MOST_KEYS = 200
_LISTED = ("id", "scenario", "severity", "status", "drill", "title", "assignee", "acknowledged_by", "detected_at")


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident in a list."""

    id: str
    scenario: Scenario
    severity: Severity
    status: str
    drill: bool
    title: str
    assignee: str | None
    acknowledged_by: str
    detected_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A timer of an incident."""

    incident_id: str
    kind: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One line of a timeline."""

    sequence: int
    incident_id: str
    at: datetime
    kind: str
    actor: str
    data: Values


class IncidentTable:
    """The incidents in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, connection: sa.Connection, incident_id: str) -> Values:
        """The document of an incident. Raises NotFoundError."""
        query = sa.select(incident_documents.c.document).where(incident_documents.c.incident_id == incident_id)
        document: Values | None = connection.execute(query).scalar_one_or_none()
        if document is None:
            raise NotFoundError(f"There is no incident '{incident_id}'. `orchestrator incidents list` shows all.")
        return document

    def list_documents(self, ids: Sequence[str]) -> Sequence[Values]:
        """The documents of these incidents, in their order; those that are unknown are left out."""
        found: dict[str, Values] = {}
        columns = (incident_documents.c.incident_id, incident_documents.c.document)
        with self._database.read() as connection:
            for first in range(0, len(ids), _MOST_IDS):
                query = sa.select(*columns).where(incident_documents.c.incident_id.in_(ids[first : first + _MOST_IDS]))
                found.update((row.incident_id, row.document) for row in connection.execute(query))
        return [found[each] for each in ids if each in found]

    def find_by_key(self, connection: sa.Connection, key: str) -> Values | None:
        """The open incident with a key, else the newest with it, or None."""
        query = sa.select(incidents.c.id).where(incidents.c.key == key)
        # An open incident first, although a newer one may have ended since: an older incident can be reopened.
        newest = query.order_by(incidents.c.is_open.desc(), incidents.c.detected_at.desc(), incidents.c.id.desc())
        found = connection.execute(newest.limit(1)).scalar_one_or_none()
        return None if found is None else self.get(connection, found)

    def newest_of_keys(self, keys: Collection[str]) -> Mapping[str, str]:
        """The newest incident of each key, by key; keys without one are left out."""
        found: dict[str, str] = {}
        wanted = sorted(set(keys))
        with self._database.read() as connection:
            for first in range(0, len(wanted), _MOST_KEYS):
                rows = connection.execute(_newest_of(wanted[first : first + _MOST_KEYS]))
                found.update({row.key: row.newest for row in rows})
        return {key: name for key, name in found.items() if name}

    def durations(
        self, connection: sa.Connection, *, key: str | None = None, scenario: Scenario | None = None, limit: int = 200
    ) -> Sequence[float]:
        """The seconds from detection to repair of the newest incidents that were repaired, of a key or a scenario."""
        wanted = incidents.c.key == key if scenario is None else incidents.c.scenario == scenario.value
        query = sa.select(incidents.c.seconds_to_resolve, incidents.c.counted).where(wanted)
        # The limit is on what is read, whatever of it counts: a list of millions must not be searched for the rest.
        newest = query.order_by(incidents.c.detected_at.desc()).limit(limit)
        return [seconds for seconds, counted in connection.execute(newest) if counted and seconds is not None]

    def add(self, connection: sa.Connection, row: Values, document: Values) -> None:
        """Add an incident. Raises SQLAlchemy's IntegrityError if another with the same key is open."""
        # People type the end of an identifier, because its beginning is the time and much alike for all of a day. An
        # index finds beginnings only, so the identifier is stored backwards as well.
        connection.execute(sa.insert(incidents).values(**row, reversed_id=row["id"][::-1]))
        connection.execute(sa.insert(incident_documents).values(incident_id=row["id"], document=document))

    def update(self, connection: sa.Connection, version: int, row: Values, document: Values) -> bool:
        """Replace an incident that is still at `version`; False, and no change, if another writer has changed it."""
        same = (incidents.c.id == row["id"]) & (incidents.c.version == version)
        if not connection.execute(sa.update(incidents).where(same).values(**row)).rowcount:
            return False
        whose = incident_documents.c.incident_id == row["id"]
        connection.execute(sa.update(incident_documents).where(whose).values(document=document))
        return True

    def save_clock(self, connection: sa.Connection, row: Values) -> None:
        """Write an SLA record, replacing the one with the same number."""
        same = (incident_clocks.c.incident_id == row["incident_id"]) & (incident_clocks.c.number == row["number"])
        if not connection.execute(sa.update(incident_clocks).where(same).values(**row)).rowcount:
            connection.execute(sa.insert(incident_clocks).values(**row))

    def continue_clock(self, connection: sa.Connection, number: int, row: Values) -> None:
        """Let the SLA record `number` count the resolution of a later record that continues it."""
        first = (incident_clocks.c.incident_id == row["incident_id"]) & (incident_clocks.c.number == number)
        counted = {name: row[name] for name in ("resolution_due_at", "resolution_at", "ended_by")}
        connection.execute(sa.update(incident_clocks).where(first).values(counted))

    def list_clocks(self, incident_id: str) -> tuple[Values, ...]:
        """All SLA records of an incident, in order."""
        whose = incident_clocks.c.incident_id == incident_id
        with self._database.read() as connection:
            rows = connection.execute(sa.select(incident_clocks).where(whose).order_by(incident_clocks.c.number))
            return tuple(dict(row) for row in rows.mappings())

    def mark_clocks(self, connection: sa.Connection, incident_id: str, *, counted: bool) -> set[datetime]:
        """Let all SLA records of an incident count in figures, or none; returns their start times."""
        whose = incident_clocks.c.incident_id == incident_id
        connection.execute(sa.update(incident_clocks).where(whose).values(counted=counted))
        return set(connection.execute(sa.select(incident_clocks.c.started_at).where(whose)).scalars())

    def add_entries(self, connection: sa.Connection, rows: Sequence[Values]) -> list[int]:
        """Append lines to a timeline; returns their sequence numbers, in order."""
        # Without `sort_by_parameter_order` the numbers may come back in another order than the rows:
        # https://docs.sqlalchemy.org/en/20/core/connections.html#correlating-returning-rows-to-parameter-sets
        query = sa.insert(incident_entries).returning(incident_entries.c.sequence, sort_by_parameter_order=True)
        return list(connection.execute(query, [{**row, "announced": False} for row in rows]).scalars())

    def set_timers(
        self, connection: sa.Connection, incident_id: str, due: Mapping[str, datetime], at: datetime
    ) -> None:
        """Set exactly these timers; others of the incident are done."""
        whose = incident_timers.c.incident_id == incident_id
        known = {row.kind: row for row in connection.execute(sa.select(incident_timers).where(whose))}
        for kind, row in known.items():
            wanted = due.get(kind)
            values = {"due_at": row.due_at, "done_at": at} if wanted is None else {"due_at": wanted, "done_at": None}
            if wanted is not None or row.done_at is None:
                connection.execute(
                    sa.update(incident_timers).where(whose, incident_timers.c.kind == kind).values(values)
                )
        new = [
            {"incident_id": incident_id, "kind": kind, "due_at": at} for kind, at in due.items() if kind not in known
        ]
        if new:
            connection.execute(sa.insert(incident_timers), new)

    def list_due_timers(self, now: datetime, limit: int) -> tuple[TimerRow, ...]:
        """Timers that are due, the longest overdue first."""
        waiting = incident_timers.c.done_at.is_(None) & (incident_timers.c.due_at <= now)
        query = sa.select(incident_timers.c.incident_id, incident_timers.c.kind, incident_timers.c.due_at)
        order = (incident_timers.c.due_at, incident_timers.c.incident_id, incident_timers.c.kind)
        with self._database.read() as connection:
            return tuple(
                TimerRow(*row) for row in connection.execute(query.where(waiting).order_by(*order).limit(limit))
            )

    def list_timers(self, incident_id: str) -> tuple[TimerRow, ...]:
        """The pending timers of an incident, soonest first."""
        query = sa.select(incident_timers.c.incident_id, incident_timers.c.kind, incident_timers.c.due_at)
        waiting = (incident_timers.c.incident_id == incident_id) & incident_timers.c.done_at.is_(None)
        with self._database.read() as connection:
            rows = connection.execute(query.where(waiting).order_by(incident_timers.c.due_at, incident_timers.c.kind))
            return tuple(TimerRow(*row) for row in rows)

    def postpone_timer(self, timer: TimerRow, until: datetime) -> None:
        """Postpone a timer, unless it has changed since it was read."""
        same = (
            (incident_timers.c.incident_id == timer.incident_id)
            & (incident_timers.c.kind == timer.kind)
            & (incident_timers.c.due_at == timer.due_at)
        )
        with self._database.write() as connection:
            connection.execute(sa.update(incident_timers).where(same).values(due_at=until))

    def list_unannounced(self, before: datetime, limit: int) -> tuple[EntryRow, ...]:
        """Lines written before a time that were never published as events, oldest first."""
        # The condition and order are those of the partial index, literally: with a bound parameter the planner cannot
        # use it, and would scan every line ever written.
        unsaid = sa.text("NOT incident_entries.announced")
        query = sa.select(*_entry_columns()).where(unsaid, incident_entries.c.written_at < before)
        with self._database.read() as connection:
            order = (incident_entries.c.written_at, incident_entries.c.sequence)
            rows = connection.execute(query.order_by(*order).limit(limit))
            return tuple(EntryRow(*row) for row in rows)

    def mark_announced(self, sequences: Sequence[int]) -> None:
        """Record that these lines were published."""
        query = sa.update(incident_entries).where(incident_entries.c.sequence.in_(sequences))
        with self._database.write() as connection:
            connection.execute(query.values(announced=True))

    def list_entries(self, incident_id: str, *, after: int = 0) -> tuple[EntryRow, ...]:
        """The timeline of an incident, in the order of writing."""
        whose = (incident_entries.c.incident_id == incident_id) & (incident_entries.c.sequence > after)
        query = sa.select(*_entry_columns()).where(whose).order_by(incident_entries.c.sequence)
        with self._database.read() as connection:
            return tuple(EntryRow(*row) for row in connection.execute(query))

    def put_policy(self, connection: sa.Connection, sha256: str, settings: Values) -> None:
        """Keep response settings under their digest, once."""
        # Two processes may both miss it and insert it. The second fails on the primary key, and its unit of work is
        # repeated.
        known = sa.select(incident_policies.c.sha256).where(incident_policies.c.sha256 == sha256)
        if connection.execute(known).first() is None:
            connection.execute(sa.insert(incident_policies).values(sha256=sha256, settings=settings))

    def policy(self, connection: sa.Connection, sha256: str) -> Values:
        """The settings of that digest."""
        query = sa.select(incident_policies.c.settings).where(incident_policies.c.sha256 == sha256)
        settings: Values = connection.execute(query).scalar_one()
        return settings

    def list(
        self,
        *,
        statuses: Sequence[str] = (),
        severities: Sequence[Severity] = (),
        scenario: Scenario | None = None,
        is_open: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> tuple[IncidentRow, ...]:
        """The newest incidents first, those that fit; `before` begins behind the incident of that identifier."""
        columns = sa.select(*(incidents.c[name] for name in _LISTED), incidents.c.resolved_at)
        newest = columns.order_by(incidents.c.detected_at.desc(), incidents.c.id.desc()).limit(limit)
        position = tuple(lists.position(since, until, before))
        with self._database.read() as connection:
            # Keyed by identifier: an incident that changes between two of the queries may be found by both.
            found = {
                row["id"]: row
                for conditions in lists.streams(statuses, severities, scenario, is_open)
                for row in connection.execute(newest.where(*conditions, *position)).mappings()
            }
        ranked = sorted(found.values(), key=lambda row: (row["detected_at"], row["id"]), reverse=True)
        return tuple(_listed(row) for row in ranked[:limit])

    def existing(self, ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that are the id of an incident."""
        query = sa.select(incidents.c.id).where(incidents.c.id.in_(sa.bindparam("ids", expanding=True)))
        parts = [list(ids)[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS)]
        with self._database.read() as connection:
            return frozenset(name for part in parts for name in connection.execute(query, {"ids": part}).scalars())

    def list_storms(self) -> tuple[IncidentRow, ...]:
        """The open incidents that are storms of alerts, the newest first."""
        columns = sa.select(*(incidents.c[name] for name in _LISTED), incidents.c.resolved_at)
        is_storm = sa.or_(*(incidents.c.key.startswith(f"{drill}{STORM_PREFIX}") for drill in ("", "drill:")))
        query = columns.where(incidents.c.is_open, is_storm).order_by(incidents.c.detected_at.desc())
        with self._database.read() as connection:
            return tuple(_listed(row) for row in connection.execute(query).mappings())

    def list_with_open_actions(self, limit: int = 1000) -> tuple[Values, ...]:
        """The documents of incidents with open action items, oldest first."""
        # Written as in the partial index, for the same reason as in `list_unannounced`.
        ids = sa.select(incidents.c.id).where(sa.text("incidents.open_actions > 0")).order_by(incidents.c.detected_at)
        with self._database.read() as connection:
            found = connection.execute(ids.limit(limit)).scalars().all()
            return tuple(self.get(connection, each) for each in found)

    def find_id(self, text: str) -> str:
        """The one id that starts or ends with `text`; `latest` is the newest. Raises NotFoundError."""
        if text == "latest":
            return self._newest()
        with self._database.read() as connection:
            if connection.execute(sa.select(incidents.c.id).where(incidents.c.id == text)).first():
                return text
            ending = sa.select(incidents.c.id).where(self._begins(incidents.c.reversed_id, text[::-1]))
            beginning = sa.select(incidents.c.id).where(self._begins(incidents.c.id, text))
            found: list[str] = [*connection.execute(ending.limit(10)).scalars()] if text else []
            found += list(connection.execute(beginning.limit(10)).scalars()) if text and not found else []
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFoundError(f"'{text}' is ambiguous: it matches {', '.join(found)}. Type more of the identifier.")
        raise NotFoundError(f"There is no incident '{text}'. `orchestrator incidents list` shows all.")

    def _begins(self, column: sa.Column[str], text: str) -> sa.ColumnElement[bool]:
        # SQLite uses no index for LIKE with ESCAPE (https://sqlite.org/optoverview.html#the_like_optimization); a range
        # is equivalent.
        if self._database.is_sqlite:
            return (column >= text) & (column < text + _LAST_CHARACTER)
        return column.startswith(text, autoescape=True)

    def _newest(self) -> str:
        newest = self.list(limit=1)
        if not newest:
            raise NotFoundError("There have been no incidents yet.")
        return newest[0].id


def _newest_of(keys: Sequence[str]) -> sa.Select[Any]:
    """One search of the index for each key: to group would read every incident that ever had it."""
    named = sa.union_all(*(sa.select(sa.literal(key).label("key")) for key in keys)).subquery()
    same = sa.select(incidents.c.id).where(incidents.c.key == named.c.key)
    newest = same.order_by(incidents.c.detected_at.desc()).limit(1).scalar_subquery()
    return sa.select(named.c.key, newest.label("newest"))


def _entry_columns() -> tuple[sa.Column[Any], ...]:
    columns = incident_entries.c
    return (columns.sequence, columns.incident_id, columns.at, columns.kind, columns.actor, columns.data)


def _listed(row: sa.RowMapping) -> IncidentRow:
    values = dict(row)
    return IncidentRow(**{**values, "scenario": Scenario(row["scenario"]), "severity": Severity(row["severity"])})
