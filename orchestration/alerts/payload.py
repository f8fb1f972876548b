"""Reading values out of JSON from other systems, or refusing it with what was expected and where. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.alerts.text_templates import storable_text
from orchestration.errors import OrchestratorError

# Far above what any sender uses, and low enough that one delivery cannot fill memory or a database row.
_MAX_LABELS = 100
_MAX_NAME_LENGTH = 200
_MAX_VALUE_LENGTH = 10_000
# Go writes its zero time as 0001-01-01T00:00:00Z, and means "no time".
_ZERO_TIME_YEAR = 1


class PayloadRefusedError(OrchestratorError):
    """A delivery cannot be used. `status` is the HTTP status of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def mapping(value: object, place: str) -> Mapping[str, Any]:
    """An object. Raises PayloadRefusedError."""
    if not isinstance(value, dict):
        raise PayloadRefusedError(f"expected an object in {place}, got {_kind(value)}")
    return value


def items(value: object, place: str, at_most: int) -> list[Any]:
    """A list that is not too long. Raises PayloadRefusedError."""
    if not isinstance(value, list):
        raise PayloadRefusedError(f"expected a list in {place}, got {_kind(value)}")
    if len(value) > at_most:
        raise PayloadRefusedError(f"expected at most {at_most} {place}, got {len(value)}; send them in parts", 413)
    return value


def texts(value: object, place: str) -> dict[str, str]:
    """An object of texts. Numbers and truth values become texts, long texts are cut. Raises PayloadRefusedError."""
    result = {}
    for name, one in mapping(value, place).items():
        if not isinstance(one, str | int | float) or len(name) > _MAX_NAME_LENGTH:
            raise PayloadRefusedError(f"expected a text in {place}.{name[:_MAX_NAME_LENGTH]}, got {_kind(one)}")
        result[storable_text(name)] = storable_text(one if isinstance(one, str) else str(one).lower())[
            :_MAX_VALUE_LENGTH
        ]
    if len(result) > _MAX_LABELS:
        raise PayloadRefusedError(f"expected at most {_MAX_LABELS} entries in {place}, got {len(result)}")
    return result


def status(value: object, place: str) -> bool:
    """Whether an alert fires. Raises PayloadRefusedError for anything but `firing` and `resolved`."""
    if value not in ("firing", "resolved"):
        raise PayloadRefusedError(f'expected "firing" or "resolved" in {place}, got {value!r:.80}')
    return value == "firing"


def when(value: object, place: str) -> datetime | None:
    """A time as in RFC 3339; None where there is none. Raises PayloadRefusedError."""
    if value is None or value == "":
        return None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise PayloadRefusedError(f"expected a time such as 2026-03-01T12:00:00Z in {place}, got {value!r:.80}")
    return parsed if parsed.year > _ZERO_TIME_YEAR else None


def _kind(value: object) -> str:
    return {"dict": "an object", "list": "a list", "NoneType": "nothing", "str": "a text"}.get(
        type(value).__name__, "something else"
    )
