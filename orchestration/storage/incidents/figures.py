"""Aggregates for figures: from single incidents while they are few, else from sums of whole days and months."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from orchestration.storage.database import Database
from orchestration.storage.incidents import aggregates
from orchestration.storage.incidents.aggregates import IncidentSelection, Tallies
from orchestration.storage.incidents.rollup import DayRange, IncidentRollup, month_from
from orchestration.storage.incidents.tallies import Tally

# Up to this many incidents are read one by one, and every figure is exact.
EXACT_UP_TO = 2_000


class IncidentFigures:
    """Aggregates over the incidents in the database."""

    def __init__(self, database: Database, exact_up_to: int = EXACT_UP_TO) -> None:
        self._database = database
        self._exact_up_to = exact_up_to
        self._sums = IncidentRollup(database)

    def tallies(self, selection: IncidentSelection, now: datetime) -> Tallies:
        """Tally the selected incidents as of `now`, by severity, scenario and month.

        If there are many, whole days before today come from the sums, and the rest from the incidents. So the time
        grows with the number of days and of incidents per day, not with that of all incidents.
        """
        days = _whole_days(selection, now)
        # This connection is returned before the sums are read, which may write: threads that hold one connection while
        # they wait for another would block each other in SQLite's pool of two.
        with self._database.read() as connection:
            few = aggregates.count(connection, selection, self._exact_up_to + 1) <= self._exact_up_to
            if few or days is None:
                return aggregates.read(connection, selection, now)
        found = defaultdict(Tally, self._sums.read(days, selection))
        with self._database.read() as connection:
            # The sums leave open targets out, because a deadline passes without any write that could mark the day as
            # changed.
            parts = [aggregates.read_overdue(connection, _within(selection, days), now)]
            parts += [aggregates.read(connection, each, now) for each in _rest(selection, days)]
        for part in parts:
            for cell, tally in part.items():
                found[cell].count(tally)
        return dict(found)

    def roll_up(self, now: datetime) -> None:
        """Sum up what has changed, so that no query has to, and marks do not pile up."""
        self._sums.roll_up(DayRange(None, month_from(_day(now) + timedelta(days=1))))


def _whole_days(selection: IncidentSelection, now: datetime) -> DayRange | None:
    """The whole past days of a selection."""
    first = None if selection.since is None else _day(selection.since + timedelta(days=1, microseconds=-1))
    # Today is never summed up: each new incident would make its sum outdated at once.
    end = _day(now) if selection.until is None else min(_day(now), _day(selection.until))
    return None if first is not None and first >= end else DayRange(first, end)


def _within(selection: IncidentSelection, days: DayRange) -> IncidentSelection:
    return replace(selection, since=None if days.first is None else _midnight(days.first), until=_midnight(days.end))


def _rest(selection: IncidentSelection, days: DayRange) -> Iterator[IncidentSelection]:
    """The parts of a selection before and after its whole days."""
    if days.first is not None:
        yield replace(selection, until=_midnight(days.first))
    yield replace(selection, since=_midnight(days.end))


def _day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
