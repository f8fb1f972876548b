"""Checked values that callers send: text without control characters, times with a time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, StringConstraints

# Between these years, adding a time span of a request to a moment cannot overflow `datetime`.
_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _in_range(moment: datetime) -> datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise ValueError(f"expected a year from {_FIRST_YEAR + 1} to {_LAST_YEAR - 1}")
    return moment.astimezone(UTC)


def _printable(text: str) -> str:
    if any(not (character.isprintable() or character in "\n\r\t") for character in text):
        raise ValueError("control characters are not allowed")
    return text


# RFC 3339, with a time zone: a time without one would mean different moments on the client and on the server.
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=10_000, strip_whitespace=True), AfterValidator(_printable)
]
OptionalText = Annotated[str, StringConstraints(max_length=10_000, strip_whitespace=True), AfterValidator(_printable)]
