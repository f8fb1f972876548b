"""When a cron expression is due in a time zone, including the changes to and from summer time. Pure.

A time that the change to summer time skips is moved by the change (2:30 becomes 3:30); a time that occurs twice when
the clock is set back counts the first time. The cron library computes with local times, so this is handled here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]

# No time zone changes its clock by more.
_MAX_CHANGE = timedelta(hours=3)


def next_due(cron: str, zone: str, after: datetime) -> datetime | None:
    """The first planned time after a moment; None for an expression that never matches."""
    found: list[datetime] = []
    bound: datetime | None = None
    # Begun earlier than `after`: a local time that the clock skips is planned later than it reads.
    for local, planned in _planned(cron, zone, _local(after, zone) - _MAX_CHANGE):
        if bound is not None and local > bound:
            break
        if planned > after:
            # When the clock changes, the later of two local times may be the earlier moment.
            found.append(planned)
            bound = bound or local + _MAX_CHANGE
    return min(found, default=None)


def last_due(cron: str, zone: str, until: datetime) -> datetime:
    """The last planned time up to a moment, of an expression that matches at all."""
    start, end = _local(until, zone) - _MAX_CHANGE, _local(until, zone) + _MAX_CHANGE
    found = []
    for local, planned in _planned(cron, zone, start):
        if local > end:
            break
        found.append(planned)
    # `get_prev` leaves out its starting point, and the times above leave it out as well.
    earlier: datetime = croniter(cron, start + timedelta(microseconds=1)).get_prev(datetime)
    return max(planned for planned in (*found, _to_utc(earlier, zone)) if planned <= until)


def _planned(cron: str, zone: str, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Planned times after a local time, as the local clock shows them and in UTC."""
    times = croniter(cron, start)
    while True:
        try:
            local: datetime = times.get_next(datetime)
        except CroniterBadDateError:  # such as the 30th of February
            return
        yield local, _to_utc(local, zone)


def _to_utc(local: datetime, zone: str) -> datetime:
    # With the default `fold=0` this is the first of two equal local times; a skipped one gets the offset from before
    # the change, which moves it forward (https://peps.python.org/pep-0495/).
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _local(moment: datetime, zone: str) -> datetime:
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
