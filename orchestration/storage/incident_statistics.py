"""What figures over many incidents are made of, counted and read by the database from narrow indexes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.config.response import Scenario, Severity
from orchestration.storage.database import Database
from orchestration.storage.tables import incident_clocks, incidents

# Columns that a figure can be made of, and those by which it can be split.
MEASURES = (
    "seconds_to_detect",
    "seconds_to_acknowledge",
    "seconds_to_automation",
    "seconds_to_resolve",
    "seconds_of_impact",
)
GROUPS = ("severity", "scenario", "month")
_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Which incidents: detected from `since` up to and without `until`, of these kinds. Drills never count."""

    since: datetime | None = None
    until: datetime | None = None
    severities: tuple[Severity, ...] = ()
    scenario: Scenario | None = None


@dataclass(frozen=True, slots=True)
class CountRow:
    """How many; `group` is empty for all together. `invalid` counts negative values of each measure, in order."""

    group: str
    total: int
    resolved: int
    recurred: int
    invalid: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TargetRow:
    """How often a target was met and breached."""

    target: str
    group: str
    met: int
    breached: int


class IncidentFigures:
    """Aggregates over the incidents in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, selection: Selection, by: str | None) -> tuple[CountRow, ...]:
        """How many there are, of each group or of all."""
        group = _group(incidents, by)
        negative = [_how_many(incidents.c[name] < 0) for name in MEASURES]
        query = sa.select(
            group,
            sa.func.count(),
            sa.func.count(incidents.c.seconds_to_resolve),
            _how_many(incidents.c.recurred & incidents.c.seconds_to_resolve.is_not(None)),
            *negative,
        )
        rows = self._rows(
            query.where(*_selected(incidents, incidents.c.detected_at, selection)).group_by(*_split(incidents, by))
        )
        return tuple(CountRow(row[0], row[1], row[2], row[3], tuple(row[4:])) for row in rows if row[1])

    def values(self, selection: Selection, by: str) -> dict[str, tuple[array[float], ...]]:
        """The values of every measure, in the order of `MEASURES`, of each group: those known and not negative.

        They come in no order, in one pass over one index; ranking them in SQLite takes longer than in memory.
        """
        query = sa.select(incidents.c[by], *(incidents.c[name] for name in MEASURES))
        wanted = query.where(*_selected(incidents, incidents.c.detected_at, selection))
        found: dict[str, tuple[array[float], ...]] = {}
        with self._database.read() as connection:
            for chunk in connection.execution_options(yield_per=_CHUNK).execute(wanted).partitions():
                for group, *row in chunk:
                    if group not in found:
                        found[group] = tuple(array("d") for _ in MEASURES)
                    for values, value in zip(found[group], row, strict=True):
                        if value is not None and value >= 0:
                            values.append(value)
        return found

    def targets(self, selection: Selection, by: str | None, now: datetime) -> tuple[TargetRow, ...]:
        """Targets met and breached; what is open past its deadline is breached, what is open within it is left out."""
        clocks, group = incident_clocks.c, _group(incident_clocks, by)
        pairs = {
            "response": (clocks.response_at, clocks.response_due_at),
            "resolution": (clocks.resolution_at, clocks.resolution_due_at),
        }
        selected = _selected(incident_clocks, clocks.started_at, selection)
        found = []
        for target, (at, due) in pairs.items():
            query = sa.select(
                group, _how_many(at < due), _how_many(sa.func.coalesce(at, sa.bindparam(None, now)) >= due)
            )
            found += [
                TargetRow(target, *row)
                for row in self._rows(query.where(*selected).group_by(*_split(incident_clocks, by)))
            ]
        return tuple(row for row in found if row.met or row.breached)

    def _rows(self, query: sa.Executable) -> Sequence[Any]:
        with self._database.read() as connection:
            return connection.execute(query).all()


def _group(table: sa.Table, by: str | None) -> sa.ColumnElement[str]:
    return sa.literal_column("''", sa.String) if by is None else table.c[by]


def _split(table: sa.Table, by: str | None) -> list[sa.ColumnElement[str]]:
    return [] if by is None else [table.c[by]]


def _how_many(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _selected(table: sa.Table, started: sa.Column[datetime], selection: Selection) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [table.c.counted.is_(True)]
    if selection.since is not None:
        conditions.append(started >= selection.since)
    if selection.until is not None:
        conditions.append(started < selection.until)
    if selection.severities:
        conditions.append(table.c.severity.in_([severity.value for severity in selection.severities]))
    if selection.scenario is not None:
        conditions.append(table.c.scenario == selection.scenario.value)
    return conditions
