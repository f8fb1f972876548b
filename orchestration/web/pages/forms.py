"""Reads and validates the forms that the pages send."""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.requests import Request

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.errors import UsageError
from orchestration.web.intake import read_body

_MAX_BYTES = 200_000
_MAX_FIELDS = 50
# The most digits for which a number still fits a database's 64-bit integer and JavaScript's exact range.
_MAX_DIGITS = 15


class Form:
    """The fields of a form. Every reader raises UsageError for a value that is not valid."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str, *, required: bool = True) -> str:
        """The text of a field, stripped of surrounding white space."""
        value = self._fields.get(name, "").strip()
        if required and not value:
            raise UsageError(f"The field '{name}' is empty. Fill it in.")
        return value

    @property
    def entered(self) -> Mapping[str, str]:
        """All fields as they were filled in, to be shown again."""
        return self._fields

    def amount(self, name: str, *, least: float, most: float) -> float:
        """A number between two bounds, both included."""
        value = self.text(name)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        # `nan` fails every comparison.
        if not least <= number <= most:
            raise UsageError(f"expected a number from {least:g} to {most:,g} in '{name}', got '{value[:20]}'")
        return number

    def whole(self, name: str, minimum: int, maximum: int) -> int:
        """A whole number between two bounds, both included."""
        value = self.text(name)
        number = whole_number(value)
        if number is None or not minimum <= number <= maximum:
            raise UsageError(f"expected a whole number from {minimum} to {maximum} in '{name}', got '{value[:20]}'")
        return number

    def moment(self, name: str) -> datetime:
        """A date and time; without a zone, as browsers send it, it is UTC."""
        value = self.text(name)
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            example = "2026-03-01T09:00"
            raise UsageError(f"expected a date and time such as {example} in '{name}', got '{value[:30]}'") from None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)

    def seconds(self, name: str) -> float | None:
        """One of the durations that forms offer; None for `until ended`."""
        value = self.text(name)
        if value not in DURATIONS:
            raise UsageError(f"expected one of {', '.join(DURATIONS)} in '{name}', got '{value[:20]}'")
        return DURATIONS[value]


DURATIONS: Mapping[str, float | None] = {
    "15 min": 900.0,
    "1 h": 3600.0,
    "8 h": 28_800.0,
    "1 d": 86_400.0,
    # The last option is a word and not an empty value, so that a forgotten field is an error and not an unlimited
    # override.
    "until ended": None,
}


async def read_form(request: Request) -> Form:
    """Read the form of a request. Raises UsageError if it is too long, malformed or without the session's CSRF
    token."""
    try:
        body = await read_body(request, _MAX_BYTES)
        # The number of fields is limited before they are parsed: the parser's cost grows with it, and anybody who is
        # signed in can send a form.
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, strict_parsing=bool(body))
    except (PayloadRefusedError, ValueError) as error:
        raise UsageError(
            f"The form is malformed or larger than {_MAX_BYTES:,} bytes. Reload the page and try again."
        ) from error
    fields = dict(pairs)
    # SameSite=Lax keeps other sites from sending the cookie with a POST, but not pages on another port of the same host
    # or on a sibling subdomain, which count as the same site. The token keeps those out, too.
    if not hmac.compare_digest(fields.pop("csrf", "").encode(), csrf_of(request).encode()):
        raise UsageError("The form belongs to another session. Reload the page and try again.")
    return Form(fields)


def whole_number(text: str) -> int | None:
    """The number that a text of digits denotes; None for any other text and for numbers that no record can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else None


def csrf_of(request: Request) -> str:
    """The CSRF token of the session; empty where there are no sessions."""
    return str(getattr(request.state, "csrf", "") or "")
