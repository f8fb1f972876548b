"""Who is on call at a moment, and which contacts a name in the configuration stands for. Pure.

Quiet hours play no part here: they delay a message, they do not change whom it is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestration.config.response import Contact, EscalationLevel, OnCallOverride, OnCallRotation, ResponseSettings
from orchestration.domain.severity import Severity

EVERYONE = "everyone"
_LEVEL = "level-"


@dataclass(frozen=True, slots=True)
class OnCallShift:
    """Who is on call in a rotation, and until when; `override` when a contact stands in for another."""

    rotation: str
    level: int
    contact: str
    until: datetime
    override: bool = False


def on_call(rotation: OnCallRotation, moment: datetime) -> OnCallShift | None:
    """Who is on call at a moment; None before the rotation starts. Of overlapping overrides the last one counts."""
    zone = ZoneInfo(rotation.time_zone)
    for shift in reversed(rotation.overrides):
        start, end = _shift(shift, zone)
        if start <= moment < end:
            return OnCallShift(rotation.id, rotation.level, shift.contact, end, override=True)
    turn = _turn(rotation, moment, zone)
    if turn < 0:
        return None
    until = _handover(rotation, turn + 1, zone)
    # A shift ends early where an override begins.
    upcoming = [start for start, _ in (_shift(shift, zone) for shift in rotation.overrides) if moment < start < until]
    return OnCallShift(
        rotation.id, rotation.level, rotation.members[turn % len(rotation.members)], min([until, *upcoming])
    )


def duties(settings: ResponseSettings, moment: datetime) -> tuple[OnCallShift, ...]:
    """Who is on call in each rotation."""
    found = (on_call(rotation, moment) for rotation in settings.rotations)
    return tuple(duty for duty in found if duty is not None)


def contacts(names: Iterable[str], settings: ResponseSettings, moment: datetime) -> tuple[Contact, ...]:
    """The contacts that names stand for at a moment, each once, in order.

    `everyone` stands for all contacts, a rotation for its contact on call. `level-N` stands for the contacts on call at
    that level, or for all contacts of that level if nobody is on call. Unknown names are left out.
    """
    known = {contact.id: contact for contact in settings.contacts}
    ids = dict.fromkeys(each for name in names for each in _meant(name, settings, moment))
    return tuple(known[each] for each in ids if each in known)


def audience(severity: Severity, settings: ResponseSettings, moment: datetime) -> tuple[Contact, ...]:
    """Who is notified first of an incident of that severity."""
    return contacts(settings.audience_of(severity), settings, moment)


def level_names(level: EscalationLevel) -> tuple[str, ...]:
    """The names that an escalation level stands for."""
    return level.targets or (f"{_LEVEL}{level.level}",)


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
        duty = None if rotation is None else on_call(rotation, moment)
        yield name if duty is None else duty.contact


def _turn(rotation: OnCallRotation, moment: datetime, zone: ZoneInfo) -> int:
    """The number of the turn, from 0; negative before the start. A turn begins at hand-over time, not at midnight."""
    turn = (moment.astimezone(zone).date() - rotation.start).days // rotation.days
    return turn if moment >= _handover(rotation, turn, zone) else turn - 1


def _handover(rotation: OnCallRotation, turn: int, zone: ZoneInfo) -> datetime:
    # Days are added to the date and not to a moment, so that the hand-over keeps its local time when the clocks change.
    day = rotation.start + timedelta(days=turn * rotation.days)
    return datetime.combine(day, rotation.hand_over, zone).astimezone(UTC)


def _shift(shift: OnCallOverride, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A shift's ends in UTC; times without a zone are the rotation's own."""
    start, end = (time if time.tzinfo else time.replace(tzinfo=zone) for time in (shift.start, shift.end))
    return start.astimezone(UTC), end.astimezone(UTC)
