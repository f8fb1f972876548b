"""How the work that incidents leave behind grows and shrinks, day by day. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestration.events import Event
from orchestration.events.incidents import (
    IncidentActionItemAdded,
    IncidentActionItemCompleted,
    IncidentDutyDismissed,
    IncidentDutyDone,
    IncidentDutyOpened,
)

OPENED: Collection[str] = (IncidentDutyOpened.kind, IncidentActionItemAdded.kind)
ENDED: Collection[str] = (IncidentDutyDone.kind, IncidentDutyDismissed.kind, IncidentActionItemCompleted.kind)


@dataclass(frozen=True, slots=True)
class DayOfWork:
    """A day in UTC: what is left open at its end, and what was opened and ended in it."""

    day: date
    left: int
    opened: int
    ended: int


def burn_down(events: Iterable[Event], now: datetime, days: int) -> list[DayOfWork]:
    """The last `days` days, today included, by the events of all duties and action items that are known.

    The timeline does not reach back for ever: what ended without a beginning on it was open when it began.
    """
    opened, ended = Counter[date](), Counter[date]()
    for event in events:
        if event.data.get("drill"):
            continue
        (opened if event.kind in OPENED else ended)[event.at.astimezone(UTC).date()] += 1
    today = now.astimezone(UTC).date()
    first = min([*opened, *ended, today])
    left = lowest = 0
    found = []
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        left += opened[day] - ended[day]
        lowest = min(lowest, left)
        found.append(DayOfWork(day, left, opened[day], ended[day]))
    lifted = [DayOfWork(one.day, one.left - lowest, one.opened, one.ended) for one in found]
    return lifted[-days:]
