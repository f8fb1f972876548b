"""Who is on call at a moment, and which contacts a name in the configuration stands for. Pure.

Quiet hours play no part here: they delay a message, they do not change whom it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from orchestration.config.escalation import DEFAULT_PATH, EscalationLevel, EscalationSettings
from orchestration.config.response import (
    Contact,
    OnCallOverride,
    OnCallRoster,
    OnCallRotation,
    ResponseSettings,
)
from orchestration.domain.severity import Severity
from orchestration.incidents.rotation import turn_at

EVERYONE = "everyone"
_LEVEL = "level-"
_NO_ROSTER = OnCallRoster()


@dataclass(frozen=True, slots=True)
class OnCallShift:
    """Who is on call in a rotation, and until when; `override` when a contact stands in for another."""

    rotation: str
    level: int
    contact: str
    until: datetime
    override: bool = False
    since: datetime | None = None


def on_call(rotation: OnCallRotation, moment: datetime, roster: OnCallRoster = _NO_ROSTER) -> OnCallShift | None:
    """Who is on call at a moment; None if nobody is.

    What people have entered counts before the overrides of the file, these before the calendar, and that before the
    turns; of overlapping ones the last counts.
    """
    stronger: list[_Interval] = []
    for layer in _layers(rotation, roster):
        # The position rather than the shift: two may be the same.
        place = max((at for at, one in enumerate(layer) if one.start <= moment < one.end), default=None)
        if place is not None:
            found = layer[place]
            kept = _between(found, [*stronger, *layer[place + 1 :]], moment)
            return OnCallShift(rotation.id, rotation.level, found.contact, kept.end, found.override, kept.start)
        stronger += layer
    turn = turn_at(rotation, moment)
    if turn is None:
        return None
    # A shift ends early where something else begins.
    kept = _between(_Interval(turn.contact, turn.since, turn.until), stronger, moment)
    return OnCallShift(rotation.id, rotation.level, turn.contact, kept.end, since=kept.start)


def shifts(
    rotation: OnCallRotation, roster: OnCallRoster, start: datetime, end: datetime, limit: int = 1_000
) -> Iterator[OnCallShift]:
    """Who is on call from one moment until another, shift by shift; times without anybody are left out."""
    moment = start
    for _ in range(limit):
        if moment >= end:
            return
        shift = on_call(rotation, moment, roster)
        if shift is not None:
            yield shift
        moment = shift.until if shift else _next_start(rotation, roster, moment, end)


def duties(settings: ResponseSettings, moment: datetime) -> tuple[OnCallShift, ...]:
    """Who is on call in each rotation."""
    roster = usable_roster(settings)
    found = (on_call(rotation, moment, roster) for rotation in settings.rotations)
    return tuple(duty for duty in found if duty is not None)


def contacts(names: Iterable[str], settings: ResponseSettings, moment: datetime) -> tuple[Contact, ...]:
    """The contacts that names stand for at a moment, each once, in order.

    `everyone` stands for all contacts, a rotation for its contact on call. `level-N` stands for the contacts on call at
    that level, or for all contacts of that level if nobody is on call. Unknown names are left out.
    """
    known = {contact.id: contact for contact in settings.contacts}
    ids = dict.fromkeys(each for name in names for each in _meant(name, settings, moment))
    return tuple(known[each] for each in ids if each in known)


def audience(
    severity: Severity, settings: ResponseSettings, moment: datetime, path: str = DEFAULT_PATH
) -> tuple[Contact, ...]:
    """Who is notified first of an incident of that severity which takes that escalation path."""
    return contacts(settings.audience_of(severity, path), settings, moment)


def level_names(level: EscalationLevel) -> tuple[str, ...]:
    """The names that an escalation level stands for."""
    return level.targets or (f"{_LEVEL}{level.level}",)


def names_at(level: int, path: EscalationSettings) -> tuple[str, ...]:
    """The names for a level on an escalation path: what the path has for it, else everybody of that level."""
    own = next((each for each in path.levels if each.level == level), None)
    return (f"{_LEVEL}{level}",) if own is None else level_names(own)


def _meant(name: str, settings: ResponseSettings, moment: datetime) -> Iterator[str]:
    if name == EVERYONE:
        yield from (contact.id for contact in settings.contacts)
    elif name.startswith(_LEVEL):
        number = name.removeprefix(_LEVEL)
        on_duty = [duty.contact for duty in duties(settings, moment) if str(duty.level) == number]
        # A gap in the rotation must not mean that a page reaches nobody.
        yield from on_duty or (contact.id for contact in settings.contacts if str(contact.level) == number)
    else:
        rotation = next((each for each in settings.rotations if each.id == name), None)
        duty = None if rotation is None else on_call(rotation, moment, usable_roster(settings))
        yield name if duty is None else duty.contact


def usable_roster(settings: ResponseSettings) -> OnCallRoster:
    """The roster without those who are no contacts any more: a page to one of them would reach nobody."""
    known, roster = {contact.id for contact in settings.contacts}, settings.roster

    def kept(planned: Mapping[str, tuple[OnCallOverride, ...]]) -> dict[str, tuple[OnCallOverride, ...]]:
        return {name: tuple(one for one in some if one.contact in known) for name, some in planned.items()}

    return OnCallRoster(kept(roster.overrides), kept(roster.calendars))


@dataclass(frozen=True, slots=True)
class _Interval:
    contact: str
    start: datetime
    end: datetime
    override: bool = False


def _layers(rotation: OnCallRotation, roster: OnCallRoster) -> Iterator[list[_Interval]]:
    """What is planned besides the turns, the strongest first."""
    zone = ZoneInfo(rotation.time_zone)
    yield [_interval(one, zone, override=True) for one in roster.overrides.get(rotation.id, ())]
    yield [_interval(one, zone, override=True) for one in rotation.overrides]
    yield [_interval(one, zone, override=False) for one in roster.calendars.get(rotation.id, ())]


def _between(shift: _Interval, stronger: Iterable[_Interval], moment: datetime) -> _Interval:
    """The part of a shift around a moment that nothing stronger covers."""
    others = list(stronger)
    start = max([shift.start, *(one.end for one in others if shift.start < one.end <= moment)])
    end = min([shift.end, *(one.start for one in others if moment < one.start < shift.end)])
    return replace(shift, start=start, end=end)


def _next_start(rotation: OnCallRotation, roster: OnCallRoster, moment: datetime, end: datetime) -> datetime:
    """When somebody may be on call again after a moment at which nobody is."""
    starts = [one.start for layer in _layers(rotation, roster) for one in layer]
    if rotation.members:
        starts.append(datetime.combine(rotation.start, rotation.hand_over, ZoneInfo(rotation.time_zone)))
    return min((start.astimezone(UTC) for start in starts if start > moment), default=end)


def _interval(shift: OnCallOverride, zone: ZoneInfo, *, override: bool) -> _Interval:
    """A shift's ends in UTC; times without a zone are the rotation's own."""
    start, end = (time if time.tzinfo else time.replace(tzinfo=zone) for time in (shift.start, shift.end))
    return _Interval(shift.contact, start.astimezone(UTC), end.astimezone(UTC), override)
