"""Sums of incidents over whole days and months, so that figures over a million take no longer than over few.

1. A change of an incident that affects figures marks its day, in the same transaction. 2. A reader first sums up what
is marked: days from the incidents, then months from the days. 3. A mark is a row of its own, and a sum is stored only
if all marks that were read before it was computed still exist to be deleted. So a change in the meantime leaves its own
mark, and of two processes that sum up the same day one gives way.

A day starts and ends at midnight UTC.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from operator import add
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.incidents import aggregates
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.tallies import ENDS, MEASURES, TARGETS, Tally, TallyCell
from orchestration.storage.tables import incident_tallies, incident_tally_marks

# The columns of an incident that the sums depend on.
COUNTED = ("counted", "detected_at", "severity", "scenario", "month", *MEASURES, "recurred", "ended_by")
# The columns of a sum, except that of its measures.
_SUMS = (
    *("total", "resolved", "recurred"),
    *(f"{target}_{how}" for how in ("met", "breached") for target in TARGETS),
    *(f"ended_{end}" for end in ENDS),
    "resolution_workaround",
)
_DAY, _MONTH = "day", "month"
_BATCH = 16  # days or months in one transaction, so that no writer waits long
_MOST_TOKENS = 500  # bound parameters of one statement; older SQLite allows 999
_TRIES = 5  # a busy system marks a day again while it is summed up; the next reader continues


@dataclass(frozen=True, slots=True)
class DayRange:
    """Whole days from `first` (None: the very first) until before `end`."""

    first: date | None
    end: date

    def spans(self) -> Iterator[tuple[str, str, str]]:
        """The range as spans of days and of whole months: the kind of each, its first day and its end."""
        month_end = self.end.replace(day=1)
        month_first = None if self.first is None else month_from(self.first)
        if month_first is not None and month_first >= month_end:
            yield _DAY, _text(self.first), _text(self.end)
            return
        if self.first is not None:
            yield _DAY, _text(self.first), _text(month_first)
        yield _MONTH, _text(month_first), _text(month_end)
        yield _DAY, _text(month_end), _text(self.end)


def mark(connection: sa.Connection, moments: Iterable[datetime]) -> None:
    """Mark the days of incidents that were detected, or of SLA records that started, at these times as changed."""
    _mark(connection, _DAY, {_text(moment.astimezone(UTC).date()) for moment in moments})


class IncidentRollup:
    """The sums in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, days: DayRange, selection: IncidentSelection) -> dict[TallyCell, Tally]:
        """Tally the incidents of these days, without open targets. The times of the selection are ignored."""
        self.roll_up(days)
        found: defaultdict[TallyCell, Tally] = defaultdict(Tally)
        with self._database.read() as connection:
            for span, first, end in days.spans():
                for begin, severity, scenario, *sums in connection.execute(_sums(span, first, end, selection)):
                    _count(found[TallyCell(severity, scenario, begin[:7])], sums)
        return dict(found)

    def roll_up(self, days: DayRange) -> None:
        """Sum up the marked ones of these days, and of the months among them."""
        self._mark_incomplete()
        months = [span for span in days.spans() if span[0] == _MONTH]
        for span, first, end in ((_DAY, _text(days.first), _text(days.end)), *months):
            for _ in range(_TRIES):
                with self._database.read() as connection:
                    marked = _marked(connection, span, first, end)
                if not marked:
                    break
                for number in range(0, len(marked), _BATCH):
                    self._sum_up(span, marked[number : number + _BATCH])

    def _mark_incomplete(self) -> None:
        """Mark the sums of processes of an earlier release, which do not count how incidents ended."""
        table = incident_tallies.c
        # The condition of the partial index, literally, or the planner would not use it.
        incomplete = sa.text("incident_tallies.resolution_workaround IS NULL")
        query = sa.select(table.span, table.begin).where(table.span.in_((_DAY, _MONTH)), incomplete)
        with self._database.read() as connection:
            found = connection.execute(query).all()
        if found:
            with self._database.write() as connection:
                for span in (_DAY, _MONTH):
                    _mark(connection, span, {row.begin for row in found if row.span == span})

    def _sum_up(self, span: str, begins: Sequence[str]) -> None:
        make = _of_day if span == _DAY else _of_month
        # The sums are computed before the write transaction, so that no writer waits for them. Whether they are still
        # true then is what the marks tell.
        with self._database.read() as connection:
            found = {begin: _tokens(connection, span, begin) for begin in begins}
            seen = {
                begin: tokens for begin, tokens in found.items() if tokens
            }  # another process has done the others by now
            made = {begin: make(connection, date.fromisoformat(begin)) for begin in seen}
        with self._database.write() as connection:
            for begin, tokens in seen.items():
                if _delete_marks(connection, span, begin, tokens):
                    _store(connection, span, begin, made[begin])
                else:  # some marks may be newer than what the other process has read
                    _mark(connection, span, {begin})
            if span == _DAY:
                # In the transaction of the days: a month that was not marked now would stay wrong for good.
                _mark(connection, _MONTH, {f"{begin[:7]}-01" for begin in seen})


def _of_day(connection: sa.Connection, day: date) -> Mapping[TallyCell, Tally]:
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return aggregates.read(connection, IncidentSelection(since, since + timedelta(days=1)), now=None)


def _of_month(connection: sa.Connection, first: date) -> Mapping[TallyCell, Tally]:
    found: defaultdict[TallyCell, Tally] = defaultdict(Tally)
    end = month_from(first + timedelta(days=1))
    for begin, severity, scenario, *sums in connection.execute(
        _sums(_DAY, _text(first), _text(end), IncidentSelection())
    ):
        _count(found[TallyCell(severity, scenario, begin[:7])], sums)
    return found


def _delete_marks(connection: sa.Connection, span: str, begin: str, tokens: Sequence[str]) -> bool:
    """Delete these marks; False if another process has deleted one of them."""
    marks = incident_tally_marks.c
    deleted = 0
    for number in range(0, len(tokens), _MOST_TOKENS):
        some = marks.token.in_(tokens[number : number + _MOST_TOKENS])
        query = sa.delete(incident_tally_marks).where(marks.span == span, marks.begin == begin, some)
        deleted += connection.execute(query).rowcount
    return deleted == len(tokens)


def _store(connection: sa.Connection, span: str, begin: str, made: Mapping[TallyCell, Tally]) -> None:
    table = incident_tallies
    # All rows of the span are replaced, because a severity or scenario may have no incident of that day any more.
    connection.execute(sa.delete(table).where(table.c.span == span, table.c.begin == begin))
    rows = [{"span": span, "begin": begin, **_row(cell, tally)} for cell, tally in made.items()]
    if rows:
        connection.execute(sa.insert(table), rows)


def _tokens(connection: sa.Connection, span: str, begin: str) -> Sequence[str]:
    marks = incident_tally_marks.c
    return connection.execute(sa.select(marks.token).where(marks.span == span, marks.begin == begin)).scalars().all()


def _mark(connection: sa.Connection, span: str, begins: Iterable[str]) -> None:
    # Random, so that no two changes make the same mark: one that comes during a summing up must survive it.
    rows = [{"span": span, "begin": begin, "token": uuid.uuid4().hex} for begin in begins]
    if rows:
        connection.execute(sa.insert(incident_tally_marks), rows)


def _marked(connection: sa.Connection, span: str, first: str, end: str) -> Sequence[str]:
    marks = incident_tally_marks.c
    between = (marks.span == span, marks.begin >= first, marks.begin < end)
    query = sa.select(marks.begin).where(*between).distinct().order_by(marks.begin)
    return connection.execute(query).scalars().all()


def _sums(span: str, first: str, end: str, selection: IncidentSelection) -> sa.Select[Any]:
    sums = incident_tallies.c
    counts = (sa.func.coalesce(sums[name], 0) for name in _SUMS)
    columns = (sums.begin, sums.severity, sums.scenario, *counts, sums.measures)
    query = sa.select(*columns).where(sums.span == span, sums.begin >= first, sums.begin < end)
    if selection.severities:
        query = query.where(sums.severity.in_([severity.value for severity in selection.severities]))
    if selection.scenario is not None:
        query = query.where(sums.scenario == selection.scenario.value)
    return query


def _row(cell: TallyCell, tally: Tally) -> dict[str, Any]:
    sums = (
        *(tally.total, tally.resolved, tally.recurred),
        *(*tally.met, *tally.breached, *tally.ended, tally.by_workaround),
    )
    return {
        "severity": cell.severity,
        "scenario": cell.scenario,
        **dict(zip(_SUMS, sums, strict=True)),
        "measures": tally.to_bytes(),
    }


def _count(tally: Tally, sums: Sequence[Any]) -> None:
    total, resolved, recurred, *more, by_workaround, measures = sums
    met, breached, ended = more[: len(TARGETS)], more[len(TARGETS) : -len(ENDS)], more[-len(ENDS) :]
    tally.total += total
    tally.resolved += resolved
    tally.recurred += recurred
    tally.met = list(map(add, tally.met, met))
    tally.breached = list(map(add, tally.breached, breached))
    tally.ended = list(map(add, tally.ended, ended))
    tally.by_workaround += by_workaround
    tally.add_bytes(measures)


def month_from(day: date) -> date:
    """The first day of a month on or after a day."""
    if day.day == 1:
        return day
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _text(day: date | None) -> str:
    # The empty text sorts before every date.
    return "" if day is None else day.isoformat()
