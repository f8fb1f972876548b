"""When a recurrence rule of calendars (RFC 5545, 3.3.10) is due in a time zone, including the changes of its clock.
Pure.

A local time that the clock skips is moved by the change, and one that comes twice counts the first time, as RFC 5545
(3.3.5) wants it and as cron expressions have it here. Only what the rule says counts: a start that does not fit the
rule is no occurrence, though RFC 5545 leaves that open.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

# Rules by the hour and below are refused: such times are a cron expression, and a year of them is long.
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"}
_PARTS |= {"BYSETPOS", "BYHOUR"}
_PART = re.compile(r"([A-Z]+)=([A-Z0-9,+-]+)")
_UNTIL = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?")
# A 29 February that is a Monday comes after 40 years at the latest, when 2100 lies between two of them.
_SEARCHED_YEARS = 41
# The calendar repeats itself every 400 years, weekdays and leap years alike. The library goes on to the year 9999 for a
# day that never comes; so many years later that end is near, and it finds out soon.
_CYCLES = 19 * 400
_LONGEST = 300
_MOST_INTERVAL = 1000


class RecurrenceError(ValueError):
    """A recurrence rule cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """A rule that counts from `start`, a local time in `zone`; there is no occurrence on the dates of `without`."""

    rule: str
    start: datetime
    zone: str
    without: frozenset[date] = frozenset()

    def next_due(self, after: datetime) -> datetime | None:
        """The first occurrence after a moment; None if there is none within the next decades."""
        first = max(after.astimezone(ZoneInfo(self.zone)).year - 1, self.start.year)
        for year in range(first, first + _SEARCHED_YEARS):
            starts = _starts(self, year)
            place = bisect_right(starts, after)
            if place < len(starts):
                return starts[place]
        return None

    def last_due(self, until: datetime) -> datetime | None:
        """The last occurrence up to a moment; None if there was none in this year or the last."""
        year = until.astimezone(ZoneInfo(self.zone)).year
        found = sorted(one for each in (year - 1, year, year + 1) for one in _starts(self, each))
        place = bisect_right(found, until)
        return found[place - 1] if place else None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule that was read: its parts without its end, and the end, by number or as a local time."""

    text: str
    count: int | None
    until: datetime | None


def validate(recurrence: RecurrenceRule) -> None:
    """Raises RecurrenceError for a rule that cannot be read, that counts too finely, or that is never due."""
    rule = _read(recurrence)
    try:
        due = next(_locals(recurrence, rule, _year_start(recurrence.start.year + _SEARCHED_YEARS)), None)
    # The library leaves much to Python's own conversions and arithmetic.
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RecurrenceError("a part of it has an impossible value") from error
    if due is None:
        raise RecurrenceError("it is never due")


@lru_cache(maxsize=512)
def _starts(recurrence: RecurrenceRule, year: int) -> tuple[datetime, ...]:
    """The occurrences of a local year, in UTC and in order."""
    if year < recurrence.start.year:
        return ()
    zone = ZoneInfo(recurrence.zone)
    local = list(_locals(recurrence, _read(recurrence), _year_start(year + 1)))
    these = local[bisect_left(local, _year_start(year)) :]
    # With `fold=0` the first of two equal local times; a skipped one gets the offset from before the change, which
    # moves it forward (https://peps.python.org/pep-0495/). Where the clock changes, the order may differ.
    return tuple(sorted(each.replace(tzinfo=zone).astimezone(UTC) for each in these))


def _locals(recurrence: RecurrenceRule, rule: _Rule, end: datetime) -> Iterator[datetime]:
    """The occurrences as the local clock shows them, before `end`."""
    from dateutil.rrule import rrulestr  # type: ignore[import-untyped]

    until = end if rule.until is None else min(rule.until, end)
    text = f"{rule.text};UNTIL={_shifted(until, _CYCLES):%Y%m%dT%H%M%S}"
    found = rrulestr(text, dtstart=_shifted(recurrence.start, _CYCLES))
    # What is left out counts as well (RFC 5545, 3.8.5.1).
    times = (_shifted(each, -_CYCLES) for each in islice(found, rule.count))
    return (each for each in times if each < end and each.date() not in recurrence.without)


def _shifted(local: datetime, years: int) -> datetime:
    return local.replace(year=local.year + years)


def _read(recurrence: RecurrenceRule) -> _Rule:
    """Raises RecurrenceError."""
    text = recurrence.rule.strip().upper().removeprefix("RRULE:")
    matches = [_PART.fullmatch(part) for part in text.split(";")]
    if len(text) > _LONGEST or None in matches:
        raise RecurrenceError("expected parts such as FREQ=WEEKLY;BYDAY=SU")
    pairs = [(match[1], match[2]) for match in matches if match is not None]
    parts = dict(pairs)
    if len(parts) < len(pairs):
        raise RecurrenceError("a part of it is there twice")
    _check_parts(parts)
    rest = ";".join(f"{name}={value}" for name, value in pairs if name not in ("COUNT", "UNTIL"))
    count = int(parts["COUNT"]) if "COUNT" in parts else None
    return _Rule(rest, count, _until(parts["UNTIL"], recurrence.zone) if "UNTIL" in parts else None)


def _check_parts(parts: dict[str, str]) -> None:
    if parts.get("FREQ") not in _FREQUENCIES:
        raise RecurrenceError(f"expected a FREQ of {', '.join(_FREQUENCIES)}")
    if unknown := sorted(parts.keys() - _PARTS):
        raise RecurrenceError(f"{', '.join(unknown)} cannot be used")
    if "COUNT" in parts and "UNTIL" in parts:
        raise RecurrenceError("COUNT and UNTIL exclude each other")
    for name in ("INTERVAL", "COUNT"):
        number = parts.get(name, "1")
        # An interval of 0 would keep the library busy for ever.
        if not number.isdecimal() or not 1 <= int(number) <= _MOST_INTERVAL:
            raise RecurrenceError(f"expected a number from 1 to {_MOST_INTERVAL} in {name}")


def _until(text: str, zone: str) -> datetime:
    """The end, which is a date, a local time or one in UTC, as a local time; a date counts to its end."""
    match = _UNTIL.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        day = datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=UTC)
        if match[2] is None:
            return datetime.combine(day, time(23, 59, 59))
        moment = datetime.combine(day, datetime.strptime(match[2], "%H%M%S").replace(tzinfo=UTC).time())
        return moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) if match[3] else moment
    except (ValueError, OverflowError) as error:
        raise RecurrenceError("expected an UNTIL such as 20271231 or 20271231T220000Z") from error


def _year_start(year: int) -> datetime:
    return datetime.combine(date(year, 1, 1), time())
