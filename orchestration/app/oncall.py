"""The on-call roster: what is planned for rotations besides the configuration, and the commands that change it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from orchestration import logs
from orchestration.clock import Clock
from orchestration.config.problems import suggest
from orchestration.config.response import OnCallOverride, OnCallRoster, OnCallRotation, ResponseSettings
from orchestration.errors import ConflictError, NotFoundError, UsageError
from orchestration.events import EventBus
from orchestration.events.oncall import OnCallEvent, OnCallOverrideAdded, OnCallOverrideCancelled
from orchestration.ids import new_id
from orchestration.incidents.icalendar_feed import CalendarError, read_calendar
from orchestration.incidents.oncall import OnCallShift, shifts
from orchestration.security.redaction import Redactor
from orchestration.storage.database import Database, StorageError
from orchestration.storage.oncall import OnCallCalendarRow, OnCallCalendars, OnCallOverrideRow, OnCallOverrides

# Another process may have changed the roster; so late is it noticed here.
_FRESH_SECONDS = 1.0
# Feeds and pages show what was, and a shift that began lately says since when it lasts.
_REMEMBERED = timedelta(days=35)
_PLANNED = timedelta(days=130)
_LONGEST = timedelta(days=366)
# How far ahead the next shift of a person is looked for when two swap.
_AHEAD = timedelta(days=120)
_log = logs.get_logger("oncall")


class OnCallRosterReader:
    """The roster, read anew at most once a second. While the database cannot be read, the last one stays in force."""

    def __init__(self, database: Database, clock: Clock, settings: Callable[[], ResponseSettings]) -> None:
        """`settings` returns those of the file, without any roster."""
        self._overrides = OnCallOverrides(database)
        self._calendars = OnCallCalendars(database)
        self._clock = clock
        self._settings = settings
        self._parsed: dict[str, tuple[object, tuple[OnCallOverride, ...]]] = {}
        self._roster = OnCallRoster()
        self._read_at: float | None = None
        self._failure = logs.RepeatedFailure(_log.warning, "oncall.roster_unread", "the last roster stays in force")

    def current(self) -> OnCallRoster:
        """The roster as it was read last. Touches no database, and so may be called within a transaction."""
        return self._roster

    def refresh(self, *, at_once: bool = False) -> None:
        """Read the roster, unless it was read a moment ago. Must not be called within a transaction."""
        now = self._clock.monotonic()
        if not at_once and self._read_at is not None and now - self._read_at < _FRESH_SECONDS:
            return
        self._read_at = now
        with self._failure.tolerated(SQLAlchemyError, StorageError):
            rows = self._overrides.list(self._clock.now() - _REMEMBERED)
            calendars = self._calendars.list() if any(each.calendar for each in self._settings().rotations) else ()
            found = OnCallRoster(_by_rotation(rows), self._read(calendars))
            # Others compare by identity whether anything has changed.
            self._roster = found if found != self._roster else self._roster

    def _read(self, calendars: Sequence[OnCallCalendarRow]) -> dict[str, tuple[OnCallOverride, ...]]:
        """The shifts of the calendars, read anew only when something has changed, and once a day."""
        settings, now = self._settings(), self._clock.now()
        wanted = {rotation.id: rotation for rotation in settings.rotations if rotation.calendar is not None}
        found = {}
        for row in calendars:
            rotation = wanted.get(row.rotation)
            if rotation is None or not row.body:
                continue
            mark = (row.body, rotation, settings.contacts, now.date())
            if self._parsed.get(row.rotation, (None,))[0] != mark:
                self._parsed[row.rotation] = (mark, _shifts_of(row, rotation, settings, now))
            found[row.rotation] = self._parsed[row.rotation][1]
        return found


class OnCallService:
    """Commands that change the roster. Each raises UsageError or NotFoundError where it is not possible."""

    def __init__(
        self, database: Database, bus: EventBus, clock: Clock, roster: OnCallRosterReader, redactor: Redactor
    ) -> None:
        self.overrides = OnCallOverrides(database)
        self.calendars = OnCallCalendars(database)
        self._bus = bus
        self._clock = clock
        self._roster = roster
        self._redactor = redactor

    def override(
        self,
        settings: ResponseSettings,
        rotation: str,
        contact: str,
        start: datetime,
        end: datetime,
        reason: str,
        author: str,
    ) -> OnCallOverrideRow:
        """Put a contact on call in a rotation for a time."""
        now = self._clock.now()
        find_rotation(settings, rotation)
        _find_contact(settings, contact)
        if start >= end or end <= now:
            raise UsageError("An override has to begin before it ends, and to end in the future.")
        if end - start > _LONGEST:
            raise UsageError("An override lasts at most 366 days. Change the rotation in the configuration instead.")
        row = self._row(rotation, contact, start, end, reason, author)
        self._add([row])
        return row

    def swap(
        self, settings: ResponseSettings, rotation: str, one: str, other: str, after: datetime, reason: str, author: str
    ) -> tuple[OnCallOverrideRow, OnCallOverrideRow]:
        """Exchange the next shifts of two contacts that begin at a time or later."""
        found = find_rotation(settings, rotation)
        if one == other:
            raise UsageError("A swap needs two different contacts.")
        first, second = (self._next_shift(settings, found, name, after) for name in (one, other))
        mark = new_id("swap", self._clock.now().timestamp())
        rows = (
            replace(self._row(rotation, other, _start(first), first.until, reason, author), swap=mark),
            replace(self._row(rotation, one, _start(second), second.until, reason, author), swap=mark),
        )
        self._add(rows)
        return rows

    def cancel(self, name: str, by: str) -> tuple[OnCallOverrideRow, ...]:
        """End an override; of a swap, both halves."""
        ended = self.overrides.cancel(self.overrides.find(name), self._clock.now(), by)
        self._roster.refresh(at_once=True)
        for row in ended:
            self._bus.publish(_event(OnCallOverrideCancelled, row), actor=by)
        return ended

    def _next_shift(
        self, settings: ResponseSettings, rotation: OnCallRotation, contact: str, after: datetime
    ) -> OnCallShift:
        _find_contact(settings, contact)
        # From now on, not from the middle of a shift that has begun: that would be handed over in two parts.
        for shift in shifts(rotation, settings.roster, after, after + _AHEAD):
            if shift.contact == contact and _start(shift) >= after:
                return shift
        raise ConflictError(
            f"{contact} has no shift in {rotation.id} that begins within {_AHEAD.days} days after "
            f"{after:%Y-%m-%d %H:%M} UTC. Enter an override instead."
        )

    def _row(
        self, rotation: str, contact: str, start: datetime, end: datetime, reason: str, author: str
    ) -> OnCallOverrideRow:
        now = self._clock.now()
        # A reason may quote anything, and everybody who can see the roster reads it.
        text = self._redactor.text(reason)
        return OnCallOverrideRow(new_id("shift", now.timestamp()), rotation, contact, start, end, text, author, now)

    def _add(self, rows: Sequence[OnCallOverrideRow]) -> None:
        self.overrides.add(rows)
        self._roster.refresh(at_once=True)
        for row in rows:
            self._bus.publish(_event(OnCallOverrideAdded, row), actor=row.author)


def _shifts_of(
    row: OnCallCalendarRow, rotation: OnCallRotation, settings: ResponseSettings, now: datetime
) -> tuple[OnCallOverride, ...]:
    try:
        return read_calendar(row.body, rotation, settings.contacts, now - _REMEMBERED, now + _PLANNED).shifts
    except CalendarError as error:  # it could be read when it was stored; a library may have become stricter
        _log.warning("oncall.calendar_unread", rotation=row.rotation, message=str(error))
        return ()


def find_rotation(settings: ResponseSettings, name: str) -> OnCallRotation:
    """The rotation of that name. Raises NotFoundError."""
    for rotation in settings.rotations:
        if rotation.id == name:
            return rotation
    known = [rotation.id for rotation in settings.rotations]
    raise NotFoundError(f"There is no rotation '{name}'. {suggest(name, known)}".strip())


def _find_contact(settings: ResponseSettings, name: str) -> None:
    known = [contact.id for contact in settings.contacts]
    if name not in known:
        raise NotFoundError(f"There is no contact '{name}'. {suggest(name, known)}".strip())


def _start(shift: OnCallShift) -> datetime:
    return shift.since or shift.until


def _by_rotation(rows: Sequence[OnCallOverrideRow]) -> dict[str, tuple[OnCallOverride, ...]]:
    found: dict[str, list[OnCallOverride]] = defaultdict(list)
    for row in rows:
        if row.starts_at < row.until:
            found[row.rotation].append(OnCallOverride(contact=row.contact, start=row.starts_at, end=row.until))
    return {rotation: tuple(planned) for rotation, planned in found.items()}


def _event(kind: type[OnCallEvent], row: OnCallOverrideRow) -> OnCallEvent:
    return kind(row.id, row.rotation, row.contact, row.starts_at.isoformat(), row.ends_at.isoformat(), row.reason)
