"""Reading JSON that somebody else wrote: what is there, or a refusal that says what was expected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.alerts.text_templates import sound
from orchestration.errors import OrchestratorError

_MOST_LABELS = 100
_LONGEST_NAME = 200
_LONGEST_VALUE = 10_000
_NO_TIME = 1  # Go's zero time is in the year 1


class PayloadRefusedError(OrchestratorError):
    """What came cannot be used. `status` is the HTTP status that says so."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def mapping(value: object, place: str) -> Mapping[str, Any]:
    """An object. Raises RefusedError."""
    if not isinstance(value, dict):
        raise PayloadRefusedError(f"expected an object in {place}, got {_kind(value)}")
    return value


def items(value: object, place: str, at_most: int) -> list[Any]:
    """A list that is not too long. Raises RefusedError."""
    if not isinstance(value, list):
        raise PayloadRefusedError(f"expected a list in {place}, got {_kind(value)}")
    if len(value) > at_most:
        raise PayloadRefusedError(f"expected at most {at_most} {place}, got {len(value)}; send them in parts", 413)
    return value


def texts(value: object, place: str) -> dict[str, str]:
    """An object with texts; numbers and truth values become texts, long ones are cut. Raises RefusedError."""
    result = {}
    for name, one in mapping(value, place).items():
        if not isinstance(one, str | int | float) or len(name) > _LONGEST_NAME:
            raise PayloadRefusedError(f"expected a text in {place}.{name[:_LONGEST_NAME]}, got {_kind(one)}")
        result[sound(name)] = sound(one if isinstance(one, str) else str(one).lower())[:_LONGEST_VALUE]
    if len(result) > _MOST_LABELS:
        raise PayloadRefusedError(f"expected at most {_MOST_LABELS} entries in {place}, got {len(result)}")
    return result


def status(value: object, place: str) -> bool:
    """Whether an alert fires. Raises RefusedError for anything but `firing` and `resolved`."""
    if value not in ("firing", "resolved"):
        raise PayloadRefusedError(f'expected "firing" or "resolved" in {place}, got {value!r:.80}')
    return value == "firing"


def when(value: object, place: str) -> datetime | None:
    """A time as in RFC 3339; None where there is none. Raises RefusedError."""
    if value is None or value == "":
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise PayloadRefusedError(f"expected a time such as 2026-03-01T12:00:00Z in {place}, got {value!r:.80}")
    return moment if moment.year > _NO_TIME else None


def _kind(value: object) -> str:
    return {"dict": "an object", "list": "a list", "NoneType": "nothing", "str": "a text"}.get(
        type(value).__name__, "something else"
    )
