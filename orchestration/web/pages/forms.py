"""What a form of ours has sent: text fields, checked one by one."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.errors import UsageError
from orchestration.web.intake import read_body

_MOST_BYTES = 200_000
_MOST_FIELDS = 50
_MOST_DIGITS = 15


class Form:
    """The fields of a form. Each reader raises UsageError for what cannot be meant."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str, *, needed: bool = True) -> str:
        """A text without blanks around it."""
        value = self._fields.get(name, "").strip()
        if needed and not value:
            raise UsageError(f"expected something in the field '{name}', got nothing; fill it in")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number within bounds."""
        value = self.text(name)
        number = whole_number(value)
        if number is None or not least <= number <= most:
            raise UsageError(f"expected a whole number from {least} to {most} in '{name}', got '{value[:20]}'")
        return number

    def seconds(self, name: str) -> float | None:
        """One of the durations that our forms offer; None for `until I end it`."""
        value = self.text(name)
        if value not in DURATIONS:
            raise UsageError(f"expected one of {', '.join(DURATIONS)} in '{name}', got '{value[:20]}'")
        return DURATIONS[value]


DURATIONS: Mapping[str, float | None] = {
    "15 min": 900.0,
    "1 h": 3600.0,
    "8 h": 28_800.0,
    "1 d": 86_400.0,
    "until ended": None,
}


async def read_form(request: Request) -> Form:
    """Read the form. Raises UsageError for one that is too long or is none, and where its token is not the page's."""
    try:
        body = await read_body(request, _MOST_BYTES)
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, strict_parsing=bool(body))
    except (PayloadRefusedError, ValueError) as error:
        raise UsageError(
            f"expected a form of this page with less than {_MOST_BYTES:,} bytes, got something else"
        ) from (error)
    fields = dict(pairs)
    if not hmac.compare_digest(fields.pop("csrf", "").encode(), csrf_of(request).encode()):
        raise UsageError("expected a form of this session, got one of another; load the page again and repeat it")
    return Form(fields)


def whole_number(text: str) -> int | None:
    """The number that a text of digits means; None for any other text, and for one that no record has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def csrf_of(request: Request) -> str:
    """The token that the server has given this session; empty where there is no need of one."""
    return str(getattr(request.state, "csrf", "") or "")
