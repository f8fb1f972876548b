"""The business calendar: on which days people work, and when, in their own time zone. Pure.

Days are local days; each opening is converted to UTC separately, so that a day on which the clocks change has its true
length.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestration.config.response import BusinessHours, Weekday

_WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = timedelta(days=1)


class BusinessCalendar:
    """The working hours of one place."""

    def __init__(self, hours: BusinessHours) -> None:
        self._hours = hours
        self._zone = ZoneInfo(hours.time_zone)
        self._weekdays = {_WEEKDAYS.index(day) for day in hours.days}
        self._public = _public_holidays(hours.country, hours.subdivision) if hours.country else ()

    def is_business_day(self, day: date) -> bool:
        """Whether people work on that local day."""
        return day.weekday() in self._weekdays and day not in self._hours.holidays and day not in self._public

    def next_close(self, moment: datetime) -> datetime:
        """Close of business on the first business day strictly after the local date of `moment`, in UTC."""
        # It ends: the configuration demands at least one weekday, and holidays are single days.
        day = next(day for day in _days(self._local_date(moment) + _DAY) if self.is_business_day(day))
        return self._at(day, self._hours.end)

    def add(self, moment: datetime, working: timedelta) -> datetime:
        """The moment at which `working` time has passed since `moment`."""
        left = working
        for start, end in self._openings(moment):
            begin = max(start, moment)
            if end > begin and left <= end - begin:
                return begin + left
            left -= max(end - begin, timedelta())
        raise AssertionError("the days go on for ever")

    def elapsed(self, start: datetime, end: datetime) -> timedelta:
        """The working time between two moments; nothing when `end` is not after `start`."""
        total = timedelta()
        for opening, close in self._openings(start):
            if opening >= end:
                break
            total += max(min(close, end) - max(opening, start), timedelta())
        return total

    def _openings(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        for day in _days(self._local_date(moment)):
            if self.is_business_day(day):
                yield self._at(day, self._hours.start), self._at(day, self._hours.end)

    def _local_date(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _at(self, day: date, clock: time) -> datetime:
        return datetime.combine(day, clock, self._zone).astimezone(UTC)


def _public_holidays(country: str, subdivision: str | None) -> Container[date]:
    import holidays  # it brings the calendars of all countries, and most settings name none

    return holidays.country_holidays(country, subdiv=subdivision)


def _days(first: date) -> Iterator[date]:
    day = first
    while True:
        yield day
        day += _DAY
