"""The time range of a list, as its address has it: `range=7+d` for the last days, or `month=2026-03`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.requests import Request

from orchestration.errors import UsageError

RANGES: Mapping[str, timedelta | None] = {
    "": None,
    "1 h": timedelta(hours=1),
    "1 d": timedelta(days=1),
    "7 d": timedelta(days=7),
    "30 d": timedelta(days=30),
    "90 d": timedelta(days=90),
    "365 d": timedelta(days=365),
}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """What is chosen: the name of a range, or a month; neither for any time. `since` and `until` bound it."""

    name: str
    month: str
    since: datetime | None
    until: datetime | None

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The ranges that a page offers, with what they are called."""
        month = [(self.month, f"in {self.month}")] if self.month else []
        return [*month, *((name, f"within {name}" if name else "at any time") for name in RANGES)]

    @property
    def words(self) -> str:
        """The choice that is in force, in words."""
        return dict(self.choices)[self.chosen]

    @property
    def chosen(self) -> str:
        """The value of the choice that is in force."""
        return self.month or self.name

    @property
    def query(self) -> str:
        """The part of an address that means the same."""
        if self.month:
            return urlencode({"month": self.month})
        return urlencode({"range": self.name}) if self.name else ""


def time_range(request: Request, now: datetime) -> TimeRange:
    """The range of an address. Raises UsageError."""
    name, month = request.query_params.get("range", ""), request.query_params.get("month", "")
    # A form sends the month under the name of its field.
    if not month and name[:2].isdigit() and "-" in name:
        name, month = "", name
    if month:
        since = _first_day(month)
        return TimeRange("", month, since, (since + timedelta(days=31)).replace(day=1))
    if name not in RANGES:
        names = ", ".join(one for one in RANGES if one)
        raise UsageError(f"There is no time range '{name[:20]}'. Choose one of: {names}, or a month such as 2026-03.")
    length = RANGES[name]
    return TimeRange(name, "", None if length is None else now - length, None)


def _first_day(month: str) -> datetime:
    try:
        return datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise UsageError(f"There is no month '{month[:20]}'. Write it as 2026-03.") from error
