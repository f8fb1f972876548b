"""The turns of a rotation: who would be on call by the order of its members alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from orchestration.config.response import OnCallRotation


@dataclass(frozen=True, slots=True)
class RegularShift:
    """One turn of a member, from `since` until `until`."""

    contact: str
    since: datetime
    until: datetime


def turn_at(rotation: OnCallRotation, moment: datetime) -> RegularShift | None:
    """The turn at a moment; None before the rotation starts, and for a rotation without members."""
    if not rotation.members:
        return None
    number = _number(rotation, moment)
    if number < 0:
        return None
    member = rotation.members[number % len(rotation.members)]
    return RegularShift(member, _hand_over(rotation, number), _hand_over(rotation, number + 1))


def _length(rotation: OnCallRotation) -> timedelta:
    return timedelta(hours=rotation.hours) if rotation.hours is not None else timedelta(days=rotation.days or 7)


def _number(rotation: OnCallRotation, moment: datetime) -> int:
    """The number of the turn, from 0; negative before the start."""
    local = moment.astimezone(ZoneInfo(rotation.time_zone)).replace(tzinfo=None)
    number = (local - datetime.combine(rotation.start, rotation.hand_over)) // _length(rotation)
    # Where the clock is set back, the same local times come twice, and the second time belongs to the later turn.
    while moment < _hand_over(rotation, number):
        number -= 1
    while moment >= _hand_over(rotation, number + 1):
        number += 1
    return number


def _hand_over(rotation: OnCallRotation, number: int) -> datetime:
    # Added to the local time and not to a moment, so that the hand-over keeps its local time when the clocks change.
    local = datetime.combine(rotation.start, rotation.hand_over) + number * _length(rotation)
    return local.replace(tzinfo=ZoneInfo(rotation.time_zone)).astimezone(UTC)
