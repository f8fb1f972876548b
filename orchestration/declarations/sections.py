"""The form of the configuration's sections. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def camel(name: str) -> str:
    """The key of a field in the file: `model_calls` is `modelCalls`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def without_empty(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section without what says nothing, so that the file holds only what was declared."""
    return {name: value for name, value in section.items() if value not in (None, "", [], {})}


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two sections as one; where both have a key, `over` wins, and objects are merged in turn."""
    both = {
        name: merged(base[name], value) if isinstance(value, Mapping) and isinstance(base.get(name), Mapping) else value
        for name, value in over.items()
    }
    return {**base, **both}
