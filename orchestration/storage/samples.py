"""Samples for plots: single measurements for hours, means of minutes for days, means of hours for weeks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import samples

RAW, MINUTE, HOUR = 0, 60_000, 3_600_000
_KEEP_RAW = timedelta(hours=2)
_KEEP_MINUTES = timedelta(days=2)
# Samples are written in batches, so a minute is only averaged when no sample of it can arrive any more.
_LATE = 60_000
# The length of the column. PostgreSQL would refuse the whole batch for one longer value; SQLite ignores the length.
_LONGEST_LABELS = 512


@dataclass(frozen=True, slots=True)
class StoredSample:
    """One measurement, or the mean of several that start at `at`."""

    name: str
    at: datetime
    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SampleSeries:
    """The measurements of one set of labels, in order of time."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]


class Samples:
    """The samples in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Iterable[StoredSample]) -> None:
        """Store samples; of several with the same labels and millisecond, the last. Those with labels too long for the
        table are left out."""
        rows = {(one.name, _key(one.labels), _milliseconds(one.at)): one.value for one in batch}
        values = [
            {"name": name, "step": RAW, "labels": labels, "at": at, "value": value, "count": 1}
            for (name, labels, at), value in rows.items()
            if len(labels) <= _LONGEST_LABELS
        ]
        if not values:
            return
        with self._database.write() as connection:
            connection.execute(sa.insert(samples), values)

    def query(self, name: str, start: datetime, end: datetime, now: datetime) -> tuple[SampleSeries, ...]:
        """The measurements from `start` until before `end`, as detailed as they still are, but not more than a plot of
        that length can show."""
        step = _step_for(start, end, now)
        points: dict[str, list[tuple[int, float]]] = {}
        after = _milliseconds(start)
        with self._database.read() as connection:
            # The newest part is not averaged yet, so finer samples complete it.
            for finer in [one for one in (HOUR, MINUTE, RAW) if one <= step]:
                columns = samples.c.labels, samples.c.at, samples.c.value
                query = sa.select(*columns).where(samples.c.name == name, samples.c.step == finer)
                query = query.where(samples.c.at >= after, samples.c.at < _milliseconds(end))
                for labels, at, value in connection.execute(query.order_by(samples.c.at)):
                    points.setdefault(labels, []).append((at, value))
                    after = max(after, at + finer)
        return tuple(
            SampleSeries(json.loads(labels), tuple((_moment(at), value) for at, value in found))
            for labels, found in sorted(points.items())
        )

    def roll_up(self, now: datetime, retention: timedelta) -> None:
        """Compute the means that are due, and delete what is past its retention."""
        with self._database.write() as connection:
            # Means first, in the same transaction: nothing may be deleted below that is in no mean yet.
            self._make_means(connection, RAW, MINUTE, _milliseconds(now) - _LATE)
            self._make_means(connection, MINUTE, HOUR, _milliseconds(now) - 2 * _LATE)
            for step, keep in ((RAW, _KEEP_RAW), (MINUTE, _KEEP_MINUTES), (HOUR, retention)):
                oldest = _milliseconds(now - min(keep, retention))
                connection.execute(sa.delete(samples).where(samples.c.step == step, samples.c.at < oldest))

    def _make_means(self, connection: sa.Connection, finer: int, coarser: int, until: int) -> None:
        """Compute the missing means of whole steps that ended by `until`."""
        newest = connection.execute(sa.select(sa.func.max(samples.c.at)).where(samples.c.step == coarser)).scalar()
        # Slots up to the newest mean are finished, and their finer samples may be gone: averaging them again could only
        # spoil them.
        start = 0 if newest is None else newest + coarser
        # A literal, not a parameter: PostgreSQL compares selected and grouped expressions before it knows parameters,
        # and would refuse the statement.
        width = sa.literal_column(str(coarser), sa.BigInteger)
        slot = samples.c.at // width * width
        # Weighted by the number of samples: a plain mean of means would count a minute with one sample as much as a
        # full one.
        mean = sa.func.sum(samples.c.value * samples.c.count) / sa.func.sum(samples.c.count)
        query = (
            sa.select(samples.c.name, width, samples.c.labels, slot, mean, sa.func.sum(samples.c.count))
            .where(samples.c.step == finer, samples.c.at >= start, samples.c.at < until // coarser * coarser)
            .group_by(samples.c.name, samples.c.labels, slot)
        )
        names = ["name", "step", "labels", "at", "value", "count"]
        connection.execute(sa.insert(samples).from_select(names, query))


def _step_for(start: datetime, end: datetime, now: datetime) -> int:
    """The step for a range: as coarse as its length allows, and one that is still stored for its start."""
    needed = max(end - start, now - start)
    if needed <= _KEEP_RAW:
        return RAW
    return MINUTE if needed <= _KEEP_MINUTES else HOUR


def _key(labels: Mapping[str, str]) -> str:
    """Labels as one text, the same for the same labels."""
    return json.dumps(dict(labels), sort_keys=True, ensure_ascii=False)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
