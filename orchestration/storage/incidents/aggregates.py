"""Aggregates of incidents, computed from the incidents themselves through covering indexes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.domain.incident_end import IncidentEnd
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.storage.incidents.tallies import MEASURES, Tally, TallyCell, tally
from orchestration.storage.tables import incident_clocks, incidents

# The attributes by which figures can be split.
GROUPS = ("severity", "scenario", "month")
Tallies = Mapping[TallyCell, Tally]
_RESOLVED_IN = MEASURES.index("seconds_to_resolve")
_UNKNOWN = "unknown"
# The resolution of an incident that was reopened is counted once, by the record of its first start.
_counts = ~incident_clocks.c.continues
# Never NULL, since `NOT NULL` would be neither counted as met nor as anything else.
_worked_around = sa.func.coalesce(incident_clocks.c.ended_by, "") == IncidentEnd.WORKAROUND.value


@dataclass(frozen=True, slots=True)
class IncidentSelection:
    """Which incidents to aggregate: detected from `since` until before `until`, of these kinds. Drills never count."""

    since: datetime | None = None
    until: datetime | None = None
    severities: tuple[Severity, ...] = ()
    scenario: Scenario | None = None

    def has(self, cell: TallyCell) -> bool:
        """Whether incidents of this cell are selected, whatever their time."""
        return (not self.severities or cell.severity in self.severities) and self.scenario in (None, cell.scenario)


def count(connection: sa.Connection, selection: IncidentSelection, limit: int) -> int:
    """The number of selected incidents, counted up to `limit`."""
    some = sa.select(sa.literal(1)).where(*_selected(incidents, incidents.c.detected_at, selection)).limit(limit)
    return int(connection.execute(sa.select(sa.func.count()).select_from(some.subquery())).scalar_one())


def read(connection: sa.Connection, selection: IncidentSelection, now: datetime | None) -> dict[TallyCell, Tally]:
    """Tally the selected incidents, and the SLA records that started in that time.

    An open target past its deadline at `now` is breached; one within its deadline is left out. Without `now` all open
    targets are left out: whether they are breached would change without any write.
    """
    found = defaultdict(Tally, _incidents(connection, selection))
    clocks = incident_clocks.c
    response, resolution = clocks.response_at, clocks.resolution_at
    counts = (
        _count(response < clocks.response_due_at),
        _count(_counts & (resolution < clocks.resolution_due_at) & ~_worked_around),
        _count(_or_now(response, now) >= clocks.response_due_at),
        _count(_counts & (_or_now(resolution, now) >= clocks.resolution_due_at)),
        _count(_counts & (resolution < clocks.resolution_due_at) & _worked_around),
    )
    for cell, row in _clocks(connection, counts, _selected(incident_clocks, clocks.started_at, selection)):
        found[cell].met[:], found[cell].breached[:], found[cell].by_workaround = row[:2], row[2:4], row[4]
    return dict(found)


def read_overdue(connection: sa.Connection, selection: IncidentSelection, now: datetime) -> dict[TallyCell, Tally]:
    """Tally the open targets past their deadline at `now`, which `read` without `now` leaves out."""
    clocks = incident_clocks.c
    counts = (
        _count(clocks.response_at.is_(None) & (clocks.response_due_at <= now)),
        _count(_counts & (clocks.resolution_due_at <= now)),
    )
    # Few records are open, and a partial index holds just those. With the kinds as conditions, the planner would choose
    # an index of all records.
    running = [clocks.counted.is_(True), clocks.resolution_at.is_(None), *_between(clocks.started_at, selection)]
    found = {cell: Tally(breached=list(row)) for cell, row in _clocks(connection, counts, running)}
    return {cell: each for cell, each in found.items() if selection.has(cell)}


def _incidents(connection: sa.Connection, selection: IncidentSelection) -> dict[TallyCell, Tally]:
    table = incidents.c
    columns = (table.severity, table.scenario, table.month, table.recurred, table.ended_by)
    query = sa.select(*columns, *(table[name] for name in MEASURES))
    rows: defaultdict[TallyCell, list[Sequence[float | None]]] = defaultdict(list)
    ends: defaultdict[TallyCell, list[str | None]] = defaultdict(list)
    again: defaultdict[TallyCell, int] = defaultdict(int)
    wanted = query.where(*_selected(incidents, table.detected_at, selection))
    for severity, scenario, month, recurred, ended_by, *values in connection.execute(wanted):
        cell = TallyCell(severity, scenario, month)
        rows[cell].append(values)
        # A process of an earlier release writes the time only.
        end = ended_by or (None if values[_RESOLVED_IN] is None else _UNKNOWN)
        ends[cell].append(end)
        # The rate is a share of the resolved incidents, so one that is open again must be missing above the line, too.
        again[cell] += recurred and end is not None
    return {cell: tally(each, ends[cell], again[cell]) for cell, each in rows.items()}


def _clocks(
    connection: sa.Connection, counts: Sequence[sa.ColumnElement[int]], conditions: Sequence[sa.ColumnElement[bool]]
) -> Iterator[tuple[TallyCell, Sequence[Any]]]:
    cell = (incident_clocks.c.severity, incident_clocks.c.scenario, incident_clocks.c.month)
    for severity, scenario, month, *row in connection.execute(
        sa.select(*cell, *counts).where(*conditions).group_by(*cell)
    ):
        if any(row):
            yield TallyCell(severity, scenario, month), row


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


def _or_now(at: sa.Column[Any], now: datetime | None) -> sa.ColumnElement[Any]:
    return at if now is None else sa.func.coalesce(at, sa.bindparam(None, now))


def _selected(table: sa.Table, moment: sa.Column[Any], selection: IncidentSelection) -> list[sa.ColumnElement[bool]]:
    return [table.c.counted.is_(True), *_kinds(table, selection), *_between(moment, selection)]


def _kinds(table: sa.Table, selection: IncidentSelection) -> list[sa.ColumnElement[bool]]:
    """Names all severities and scenarios if none is selected: the indexes start with these columns, and could not be
    used without a condition on them."""
    severities, scenarios = selection.severities or Severity, [selection.scenario] if selection.scenario else Scenario
    return [
        table.c.severity.in_([severity.value for severity in severities]),
        table.c.scenario.in_([scenario.value for scenario in scenarios]),
    ]


def _between(moment: sa.Column[Any], selection: IncidentSelection) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if selection.since is not None:
        conditions.append(moment >= selection.since)
    if selection.until is not None:
        conditions.append(moment < selection.until)
    return conditions
