"""Figures over many incidents, worked out by the database from narrow indexes."""

from __future__ import annotations

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
class MeasureRow:
    """One measure of one group, in seconds, over the values that are known and not negative."""

    measure: str
    group: str
    n: int
    mean: float
    median: float
    p90: float


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
        rows = self._rows(query.where(*_selected(incidents, incidents.c.detected_at, selection)).group_by(group))
        return tuple(CountRow(row[0], row[1], row[2], row[3], tuple(row[4:])) for row in rows if row[1])

    def measures(self, selection: Selection, by: str | None) -> tuple[MeasureRow, ...]:
        """Mean, median and 90th percentile of every measure."""
        return tuple(row for measure in MEASURES for row in self._measure(measure, selection, by))

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
            found += [TargetRow(target, *row) for row in self._rows(query.where(*selected).group_by(group))]
        return tuple(row for row in found if row.met or row.breached)

    def _measure(self, name: str, selection: Selection, by: str | None) -> list[MeasureRow]:
        """Rank the values within their group, then pick: the median is the mean of the one or two in the middle, the
        90th percentile is the nearest rank."""
        group, value = _group(incidents, by).label("grouped"), incidents.c[name].label("value")
        known = [*_selected(incidents, incidents.c.detected_at, selection), incidents.c[name] >= 0]
        ranked = (
            sa.select(
                group,
                value,
                sa.func.row_number().over(partition_by=group, order_by=value).label("rank"),
                sa.func.count().over(partition_by=group).label("n"),
            )
            .where(*known)
            .subquery()
        )
        column, rank, n = ranked.c.value, ranked.c.rank, ranked.c.n
        middle = rank.in_([(n + 1) // 2, (n + 2) // 2])
        query = sa.select(
            ranked.c.grouped,
            sa.func.max(n),
            sa.func.avg(column),
            sa.func.avg(sa.case((middle, column))),
            sa.func.max(sa.case((rank == (9 * n + 9) // 10, column))),
        ).group_by(ranked.c.grouped)
        return [MeasureRow(name, *row) for row in self._rows(query)]

    def _rows(self, query: sa.Executable) -> Sequence[Any]:
        with self._database.read() as connection:
            return connection.execute(query).all()


def _group(table: sa.Table, by: str | None) -> sa.ColumnElement[str]:
    return sa.literal_column("''", sa.String) if by is None else table.c[by]


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
