"""Merging the parts of a streamed answer, whatever fields a vendor adds to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# These say what a part is; they are repeated, and not continued.
_LABELS = frozenset({"type", "role", "id", "index", "object", "model", "format", "name", "signature", "expires_at"})


def merged(before: Any, part: Any, name: str = "") -> Any:
    """A value with a further part of it: texts and lists are continued, objects merged by their fields, and entries of
    a list that share an `index`, too. Anything else is replaced; null changes nothing."""
    if part is None or before is None:
        return before if part is None else part
    if isinstance(before, str) and isinstance(part, str):
        return part if name in _LABELS else before + part
    if isinstance(before, Mapping) and isinstance(part, Mapping):
        return {**before, **{key: merged(before.get(key), value, key) for key, value in part.items()}}
    if isinstance(before, list) and isinstance(part, list):
        return _merged_lists(before, part)
    return part


def _merged_lists(before: list[Any], parts: list[Any]) -> list[Any]:
    found = list(before)
    for part in parts:
        index = part.get("index") if isinstance(part, Mapping) else None
        place = next((at for at, one in enumerate(found) if _has_index(one, index)), None)
        if place is None:
            found.append(part)
        else:
            found[place] = merged(found[place], part)
    return found


def _has_index(value: Any, index: Any) -> bool:
    return isinstance(index, int) and isinstance(value, Mapping) and value.get("index") == index
