"""On-call shifts in the iCalendar format (RFC 5545): reading calendars of others, and writing our own. Pure.

The library for recurring events counts what people's calendars really have in them: exceptions, moved and cancelled
occurrences, time zones with rules of their own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.config.response import Contact, OnCallOverride, OnCallRotation
from orchestration.incidents.oncall import OnCallShift

MAX_BYTES = 1_000_000
_MOST_SHIFTS = 2_000
# A rule that comes every second or minute is no shift, and to count its occurrences would take for ever.
_TOO_OFTEN = re.compile(r"^RRULE[^:]*:.*FREQ=(?:SECONDLY|MINUTELY)", re.IGNORECASE | re.MULTILINE)
_LEVEL = re.compile(r"\[L(\d{1,2})\]")
_PRODUCT = "-//agent-orchestration//on-call//EN"


class CalendarError(Exception):
    """The text is not a calendar that can be read; its message says why."""


@dataclass(frozen=True, slots=True)
class CalendarReading:
    """The shifts of a calendar, and the events in which nobody among the contacts was found, by their summaries."""

    shifts: tuple[OnCallOverride, ...]
    unknown: tuple[str, ...] = ()


def read_calendar(
    text: str, rotation: OnCallRotation, contacts: Sequence[Contact], start: datetime, end: datetime
) -> CalendarReading:
    """The shifts of a calendar between two moments. Raises CalendarError."""
    # Imported where a calendar is read: the libraries take long to load, and few commands need them.
    import icalendar
    import recurring_ical_events  # type: ignore[import-untyped]

    if len(text) > MAX_BYTES:
        raise CalendarError(f"it is larger than {MAX_BYTES:,} bytes")
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    if _TOO_OFTEN.search(unfolded):
        raise CalendarError("an event comes every minute or every second, which is no shift")
    try:
        calendar = icalendar.Calendar.from_ical(text)
        if calendar.name != "VCALENDAR":
            raise ValueError("no VCALENDAR")
        events = recurring_ical_events.of(calendar).between(start, end)
        shifts, unknown = _shifts(events, rotation, contacts)
    # The libraries raise errors of many kinds for what they cannot read.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise CalendarError(f"it cannot be read as a calendar ({type(error).__name__}: {reason})") from error
    return CalendarReading(tuple(shifts[:_MOST_SHIFTS]), tuple(unknown))


def write_calendar(
    rotation: OnCallRotation, shifts: Iterable[OnCallShift], names: Mapping[str, str], now: datetime
) -> bytes:
    """The shifts as a calendar, in UTC. The same shift has the same UID each time, so that calendars replace it."""
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("name", f"On call: {rotation.id}")  # RFC 7986
    calendar.add("x-wr-calname", f"On call: {rotation.id}")
    # How often to ask again; programs know one of the two (RFC 7986, 5.7, and Outlook's own).
    calendar.add("refresh-interval", timedelta(hours=1), parameters={"value": "DURATION"})
    calendar.add("x-published-ttl", "PT1H")
    for shift in shifts:
        calendar.add_component(_event(rotation, shift, names.get(shift.contact) or shift.contact, now))
    written: bytes = calendar.to_ical()
    return written


def find_contact(texts: Iterable[str], contacts: Sequence[Contact]) -> str | None:
    """The contact who is named in one of the texts, in whole words; the longest name counts."""
    for text in texts:
        found = [(len(name), contact.id) for contact in contacts for name in _names(contact) if _has(text, name)]
        if found:
            return max(found)[1]
    return None


def _shifts(
    events: Iterable[Any], rotation: OnCallRotation, contacts: Sequence[Contact]
) -> tuple[list[OnCallOverride], list[str]]:
    ranked: list[tuple[int, OnCallOverride]] = []
    unknown: dict[str, None] = {}
    zone = ZoneInfo(rotation.time_zone)
    for event in events:
        start, end = _moment(event.start, zone), _moment(event.end, zone)
        summary = str(event.get("SUMMARY", ""))
        # A cancelled event may stay in a calendar.
        if str(event.get("STATUS", "")).upper() == "CANCELLED" or start >= end:
            continue
        contact = find_contact([*_attendees(event), summary], contacts)
        if contact is None:
            unknown[summary[:100]] = None
        else:
            ranked.append((_rank(event, summary), OnCallOverride(contact=contact, start=start, end=end)))
    # Of those that overlap the last counts, so the strongest come last.
    ranked.sort(key=lambda one: (one[0], one[1].start, one[1].end))
    return [shift for _, shift in ranked], list(unknown)


def _rank(event: Any, summary: str) -> int:
    """How strong an event is: by its priority, of which 1 is the highest and 0 says nothing (RFC 5545, 3.8.1.9); or by
    a level in front of its summary, as Grafana OnCall exports it."""
    if level := _LEVEL.match(summary):
        return int(level[1])
    priority = int(event.get("PRIORITY", 0))
    return 10 - priority if 1 <= priority <= 9 else 0


def _attendees(event: Any) -> Iterator[str]:
    found = event.get("ATTENDEE", [])
    for attendee in found if isinstance(found, list) else [found]:
        yield str(attendee).removeprefix("mailto:").removeprefix("MAILTO:")
        yield str(attendee.params.get("CN", ""))


def _moment(at: date, zone: ZoneInfo) -> datetime:
    """A moment in UTC; of a whole day the local midnight, and of a time without a zone the local one."""
    if not isinstance(at, datetime):
        at = datetime.combine(at, time(), zone)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _names(contact: Contact) -> Iterator[str]:
    yield from (name for name in (contact.id, contact.name, *(place.address for place in contact.channels)) if name)


def _has(text: str, name: str) -> bool:
    # Characters of addresses belong to the word: `ada` is not in `ada@example.org`, nor `bob` in `jim-bob`.
    return bool(re.search(rf"(?<![\w@.+-]){re.escape(name)}(?![\w@+-]|\.\w)", text, re.IGNORECASE))


def _event(rotation: OnCallRotation, shift: OnCallShift, name: str, now: datetime) -> Any:
    import icalendar

    start = shift.since or now
    identity = hashlib.sha256(f"{rotation.id}\n{shift.contact}\n{start.isoformat()}".encode()).hexdigest()[:40]
    event = icalendar.Event()
    event.add("uid", f"{identity}@agent-orchestration")
    event.add("dtstamp", now)
    event.add("dtstart", start)
    event.add("dtend", shift.until)
    event.add("summary", f"On call: {name} ({rotation.id})")
    event.add("description", "Stands in for another, by an override." if shift.override else "By the rotation.")
    event.add("transp", "TRANSPARENT")
    return event
