"""When a cron expression is due in a time zone, also over the change to summer time and back. Pure.

A time that the change to summer time skips comes as long after midnight as ever (2:30 is then 3:30); one that comes
twice when the clock is put back counts the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]

# No change of the clock is longer.
_LONGEST_CHANGE = timedelta(hours=3)


def next_due(cron: str, zone: str, after: datetime) -> datetime | None:
    """The first planned time after a moment; None for an expression that never comes true."""
    found: list[datetime] = []
    bound: datetime | None = None
    for local, planned in _planned(cron, zone, _local(after, zone) - _LONGEST_CHANGE):
        if bound is not None and local > bound:
            break
        if planned > after:
            # Where the clock changes, a later time on the wall may be the earlier one.
            found.append(planned)
            bound = bound or local + _LONGEST_CHANGE
    return min(found, default=None)


def last_due(cron: str, zone: str, until: datetime) -> datetime:
    """The last planned time up to a moment, of an expression that comes true."""
    start, end = _local(until, zone) - _LONGEST_CHANGE, _local(until, zone) + _LONGEST_CHANGE
    found = []
    for local, planned in _planned(cron, zone, start):
        if local > end:
            break
        found.append(planned)
    earlier: datetime = croniter(cron, start + timedelta(microseconds=1)).get_prev(datetime)
    return max(planned for planned in (*found, _moment(earlier, zone)) if planned <= until)


def _planned(cron: str, zone: str, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Planned times after a local time, as the local clock shows them and in UTC."""
    times = croniter(cron, start)
    while True:
        try:
            local: datetime = times.get_next(datetime)
        except CroniterBadDateError:  # such as the 30th of February
            return
        yield local, _moment(local, zone)


def _moment(local: datetime, zone: str) -> datetime:
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
