"""Times on the command line: `30d`, `12h`, `45min` ago, or a date and time."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import click

# Five digits, since a million days lie outside the years that a `datetime` can hold.
_SPAN = re.compile(r"(\d{1,5})(d|h|min)")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1)}


class MomentParam(click.ParamType[str]):
    """A text that `ago` or `ahead` can read."""

    name = "moment"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        # `all` is the value for which no start is computed at all.
        if value != "all" and not _SPAN.fullmatch(value) and _at(value) is None:
            expected = "30d, 12h, 45min, or a time such as 2026-03-01T09:00+00:00"
            self.fail(f"expected {expected}, got '{value}'", param, ctx)
        return value


MOMENT = MomentParam()


def ago(text: str, now: datetime) -> datetime:
    """Parse a time; a span counts back from now. Times without a zone are UTC."""
    return _moment(text, now, -1)


def ahead(text: str, now: datetime) -> datetime:
    """Parse a time; a span counts forward from now. Times without a zone are UTC."""
    return _moment(text, now, 1)


def due_date(text: str, now: datetime) -> date:
    """Parse a day; a span counts forward from today."""
    return ahead(text, now).date()


def _moment(text: str, now: datetime, sign: int) -> datetime:
    if match := _SPAN.fullmatch(text):
        return now + sign * int(match[1]) * _UNITS[match[2]]
    return _at(text) or now


def _at(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    # UTC and not the local zone: servers, reports and logs all show UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
