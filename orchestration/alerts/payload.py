"""Reading values out of JSON from other systems, or refusing it with what was expected and where. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from orchestration.alerts.text_templates import storable_text
from orchestration.errors import OrchestratorError

T = TypeVar("T")

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


def read_each(
    values: list[Any], place: str, read: Callable[[Mapping[str, Any], str], T]
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Read each value by itself: those that can be used, and why the others cannot. Raises PayloadRefusedError when
    none can: then the sender has to know. The list is used up."""
    usable: list[T] = []
    refused: list[str] = []
    for number, value in enumerate(values):
        # Ten thousand alerts need not be in memory twice.
        values[number] = None
        try:
            usable.append(read(mapping(value, f"{place}[{number}]"), f"{place}[{number}]"))
        except PayloadRefusedError as refusal:
            refused.append(str(refusal))
    if refused and not usable:
        more = f", and {len(refused) - 1} more cannot be used" if len(refused) > 1 else ""
        raise PayloadRefusedError(f"{refused[0]}{more}")
    return tuple(usable), tuple(refused)


def texts(value: object, place: str) -> dict[str, str]:
    """An object of texts. Numbers and truth values become texts, long texts are cut. Raises PayloadRefusedError."""
    result = {}
    for name, one in mapping(value, place).items():
        if not isinstance(one, str | int | float) or len(name) > _MAX_NAME_LENGTH:
            raise PayloadRefusedError(f"expected a text in {place}.{name[:_MAX_NAME_LENGTH]}, got {_kind(one)}")
        text = one if isinstance(one, str) else str(one).lower()
        result[storable_text(name)] = storable_text(text)[:_MAX_VALUE_LENGTH]
    if len(result) > _MAX_LABELS:
        raise PayloadRefusedError(f"expected at most {_MAX_LABELS} entries in {place}, got {len(result)}")
    return result


def status(value: object, place: str) -> bool:
    """Whether an alert fires. Raises PayloadRefusedError for anything but `firing` and `resolved`."""
    if value not in ("firing", "resolved"):
        raise PayloadRefusedError(f'expected "firing" or "resolved" in {place}, got {value!r:.80}')
    return value == "firing"


def when(value: object, place: str) -> datetime | None:
    """A time as in RFC 3339, in UTC; None where there is none. Raises PayloadRefusedError."""
    if value is None or value == "":
        return None
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        if parsed is not None and parsed.tzinfo is not None:
            return parsed.astimezone(UTC) if parsed.year > _ZERO_TIME_YEAR else None
    # OverflowError: a time of the year 9999 may be one of the year 10000 in UTC, which no calendar here has.
    except (ValueError, OverflowError):
        pass
    raise PayloadRefusedError(f"expected a time such as 2026-03-01T12:00:00Z in {place}, got {value!r:.80}")


def _kind(value: object) -> str:
    return {"dict": "an object", "list": "a list", "NoneType": "nothing", "str": "a text"}.get(
        type(value).__name__, "something else"
    )
