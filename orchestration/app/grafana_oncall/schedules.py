"""Schedules of Grafana OnCall as rotations of ours. Pure.

A schedule with one shift that members take in turns, whole days or hours at a time, is a rotation; any other is written
as a calendar, in which every recurrence of theirs has its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.app.grafana_oncall.export import OnCallSchedule, OnCallShiftRecord

_HOURS = {"hourly": 1, "daily": 24, "weekly": 168}
_HOUR = 3600
_LONGEST_TURN_DAYS = 365
_PRODUCT = "-//agent-orchestration//grafana-oncall-import//EN"


@dataclass
class ConvertedSchedule:
    """The rotation, the calendar that belongs to it, a variable for the address of one, and what could not be taken
    over."""

    rotation: dict[str, Any]
    calendar: bytes | None = None
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def convert_schedule(
    schedule: OnCallSchedule, name: str, shifts: Sequence[OnCallShiftRecord], people: Mapping[str, str]
) -> ConvertedSchedule:
    """The rotation of a schedule. `people` are the contacts by the ids of users."""
    if schedule.ical_url_primary is not None:
        converted = _imported(schedule, name)
    elif len(shifts) == 1 and _is_plain(shifts[0]):
        converted = ConvertedSchedule(_rotation(schedule, name, shifts[0], people))
    else:
        converted = _written(schedule, name, shifts, people)
    converted.notes += [f"schedule {schedule.name}: {note}" for note in _losses(schedule, shifts)]
    return converted


def _is_plain(shift: OnCallShiftRecord) -> bool:
    """Whether members simply take turns, one after the other without a gap."""
    hours = _HOURS.get(shift.frequency or "", 0) * (shift.interval or 1)
    limits = (shift.by_day, shift.by_month, shift.by_monthday, shift.until)
    fits = 0 < hours <= 23 or (hours % 24 == 0 and 0 < hours // 24 <= _LONGEST_TURN_DAYS)
    return shift.type == "rolling_users" and fits and not any(limits) and shift.duration == hours * _HOUR


def _rotation(
    schedule: OnCallSchedule, name: str, shift: OnCallShiftRecord, people: Mapping[str, str]
) -> dict[str, Any]:
    hours = _HOURS[shift.frequency or ""] * (shift.interval or 1)
    length = {"hours": hours} if hours <= 23 else {"days": hours // 24}
    return {
        "id": name,
        "members": [people[group[0]] for group in shift.groups if group and group[0] in people],
        "start": f"{shift.start:%Y-%m-%d}",
        **length,
        "handOver": f"{shift.start:%H:%M}",
        "timeZone": shift.time_zone or schedule.time_zone or "UTC",
    }


def _imported(schedule: OnCallSchedule, name: str) -> ConvertedSchedule:
    """A schedule that reads a calendar goes on reading it; the address is a secret of many services."""
    variable = f"ONCALL_{''.join(each if each.isalnum() else '_' for each in name).upper()}_CALENDAR"
    rotation = {"id": name, "timeZone": schedule.time_zone or "UTC", "calendar": {"urlEnv": variable}}
    return ConvertedSchedule(rotation, variables={variable: schedule.ical_url_primary or ""})


def _written(
    schedule: OnCallSchedule, name: str, shifts: Sequence[OnCallShiftRecord], people: Mapping[str, str]
) -> ConvertedSchedule:
    import icalendar

    calendar = icalendar.Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    for shift in shifts:
        for number, group in enumerate(shift.groups):
            if group and group[0] in people:
                calendar.add_component(_event(schedule, shift, number, people[group[0]]))
    rotation = {
        "id": name,
        "timeZone": schedule.time_zone or "UTC",
        "calendar": {"file": f"config/oncall/{name}.ics"},
    }
    return ConvertedSchedule(rotation, calendar.to_ical())


def _event(schedule: OnCallSchedule, shift: OnCallShiftRecord, number: int, contact: str) -> Any:
    import icalendar

    zone = ZoneInfo(shift.time_zone or schedule.time_zone or "UTC")
    start = _first_occurrence(shift, _turn_start(shift, number)).replace(tzinfo=zone)
    event = icalendar.Event()
    event.add("uid", f"{shift.id}-{number}@grafana-oncall")
    event.add("dtstamp", datetime(2026, 1, 1, tzinfo=UTC))
    event.add("dtstart", start)
    event.add("duration", timedelta(seconds=shift.duration))
    event.add("summary", contact)
    event.add("description", shift.name)
    if shift.level:
        # Theirs is the stronger the higher it is; a calendar's is the stronger the lower (RFC 5545, 3.8.1.9).
        event.add("priority", max(1, 10 - shift.level))
    if shift.frequency:
        event.add("rrule", dict(_rule(shift, zone)))
    return event


def _turn_start(shift: OnCallShiftRecord, number: int) -> datetime:
    """When a group's first turn begins: each a period later than the one before it."""
    from dateutil.relativedelta import relativedelta  # type: ignore[import-untyped]

    count = number * (shift.interval or 1)
    if shift.frequency == "monthly":
        later: datetime = shift.start + relativedelta(months=count)
        return later
    return shift.start + timedelta(hours=_HOURS.get(shift.frequency or "", 0) * count)


def _first_occurrence(shift: OnCallShiftRecord, start: datetime) -> datetime:
    """The first time from a start on that the shift's days and months allow.

    A calendar always has its start as the first occurrence (RFC 5545, 3.8.5.3), while a start of theirs only says when
    the rule begins to count.
    """
    from dateutil import rrule  # type: ignore[import-untyped]

    if not shift.frequency or not (shift.by_day or shift.by_month or shift.by_monthday):
        return start
    rule = rrule.rrule(
        getattr(rrule, shift.frequency.upper()),
        dtstart=start,
        interval=(shift.interval or 1) * max(1, len(shift.groups)),
        wkst=getattr(rrule, shift.week_start or "SU"),
        byweekday=[getattr(rrule, day) for day in shift.by_day or ()] or None,
        bymonth=shift.by_month,
        bymonthday=shift.by_monthday,
        count=1,
    )
    return next(iter(rule), start)


def _rule(shift: OnCallShiftRecord, zone: ZoneInfo) -> Iterator[tuple[str, Any]]:
    yield "freq", (shift.frequency or "").upper()
    yield "interval", (shift.interval or 1) * max(1, len(shift.groups))
    if shift.until is not None:
        yield "until", (shift.until if shift.until.tzinfo else shift.until.replace(tzinfo=zone)).astimezone(UTC)
    for name, value in (("wkst", shift.week_start), ("byday", shift.by_day), ("bymonth", shift.by_month)):
        if value:
            yield name, list(value) if isinstance(value, tuple) else value
    if shift.by_monthday:
        yield "bymonthday", list(shift.by_monthday)


def _losses(schedule: OnCallSchedule, shifts: Sequence[OnCallShiftRecord]) -> Iterator[str]:
    if schedule.ical_url_overrides:
        yield "its calendar of overrides is not read; enter overrides by hand"
    for shift in shifts:
        if any(len(group) > 1 for group in shift.groups):
            yield f"in {shift.name or shift.id} several are on call together; the first of each group is taken"
