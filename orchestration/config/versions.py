"""Versions of the configuration file, and the differences between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from orchestration.config.document import read


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """A text of the file that was once in force."""

    number: int
    sha256: str
    text: str
    loaded_at: datetime


class VersionStore(Protocol):
    """Stores every version of the file that could be used."""

    def add(self, text: str, sha256: str, now: datetime) -> ConfigVersion:
        """Store a version, and return it; the newest again if its text is the same."""
        ...

    def list(self, limit: int = 50) -> tuple[ConfigVersion, ...]:
        """The newest versions, newest first."""
        ...

    def get(self, number: int) -> ConfigVersion:
        """One version. Raises NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """One value that differs; `before` or `after` is None where the key is not there."""

    path: str
    before: Any
    after: Any


def diff(before: str, after: str) -> tuple[ConfigDifference, ...]:
    """The differences between two texts, value by value. Entries of a list are matched by their `id` or `name` if they
    have one: an entry inserted at the top must not make all others look changed.

    Raises JsonSyntaxError if a text is not JSON; every stored version is.
    """
    old, new = _flatten(read(before).value), _flatten(read(after).value)
    paths = sorted(old.keys() | new.keys())
    return tuple(
        ConfigDifference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path)
    )


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    # An empty object or list is a value itself: there is nothing in it that could differ.
    if isinstance(value, dict) and value:
        parts = [_flatten(inner, f"{path}.{key}".removeprefix(".")) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        parts = [_flatten(inner, f"{path}[{_name(inner, index)}]") for index, inner in enumerate(value)]
    else:
        return {path: value}
    return {inner: leaf for part in parts for inner, leaf in part.items()}


def _name(entry: Any, index: int) -> str:
    name = (entry.get("id") or entry.get("name")) if isinstance(entry, dict) else None
    return str(name or index)
