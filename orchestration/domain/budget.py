"""What a budget counts, and for how long. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

_EVER = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))


class BudgetPeriod(StrEnum):
    """How long a budget lasts: as long as its run, or until the next day or month begins."""

    RUN = "run"
    DAY = "day"
    MONTH = "month"


class BudgetLevel(StrEnum):
    """The limits of a budget: people are notified of a soft one, and calls are refused at a hard one."""

    SOFT = "soft"
    HARD = "hard"


@dataclass(frozen=True, slots=True)
class SpentAmount:
    """Tokens, and dollars where prices are known."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: SpentAmount) -> SpentAmount:
        return SpentAmount(self.tokens + other.tokens, self.usd + other.usd)


def period_bounds(period: BudgetPeriod, now: datetime, zone: str) -> tuple[datetime, datetime]:
    """When the period that `now` is in begins and ends, in UTC; the end is no part of it. Days and months are those of
    the time zone, so a day is 23 or 25 hours long when its clocks are changed."""
    if period is BudgetPeriod.RUN:
        return _EVER
    local = now.astimezone(ZoneInfo(zone)).date()
    if period is BudgetPeriod.DAY:
        first, following = local, local + timedelta(days=1)
    else:
        first = local.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
    # A midnight that the zone skips is the moment of the change; of one that comes twice, the first.
    begins, ends = (datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC) for day in (first, following))
    return begins, ends
