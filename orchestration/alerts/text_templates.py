"""Filling in the titles and summaries of alerts. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from string import Formatter
from typing import Any

_MAX_LENGTH = 1000


class _NameFormatter(Formatter):
    """Replaces names only: no attributes, items or formats, since rules of the configuration must not be able to run
    code or to read other objects. Unknown names are left empty."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def get_field(self, field_name: str, args: object, kwargs: object) -> tuple[str, str]:  # noqa: ARG002
        return self._values.get(field_name, ""), field_name

    def convert_field(self, value: object, conversion: object) -> object:  # noqa: ARG002
        return value

    def format_field(self, value: object, format_spec: str) -> str:  # noqa: ARG002
        return str(value)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its names replaced by values; a malformed template is returned as it is."""
    try:
        text = _NameFormatter(values).vformat(template, (), {})
    except ValueError:
        text = template
    # Names that had no value leave separators at the end ("failed: ") behind.
    return " ".join(text.split()).rstrip(":,; ")[:_MAX_LENGTH]


def one_line(text: str) -> str:
    """The text on one line, for a name or a title: a line feed in it must not look like a line of ours."""
    return " ".join(text.split())


def storable_text(text: object) -> str:
    """A text that every database can store: without lone surrogates, which file names may contain, and without NUL,
    which PostgreSQL rejects."""
    plain = str(text)
    return (plain if plain.isascii() else plain.encode("utf-8", "replace").decode()).replace("\0", "?")


def json_values(value: Any) -> Any:
    """JSON values made of any value; what JSON does not have becomes a text."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {storable_text(key): json_values(inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [json_values(inner) for inner in value]
        case _:
            return storable_text(value)


def number(value: float, *, share: bool = False) -> str:
    """A measured value for people; a share becomes a percentage."""
    if share:
        return f"{value * 100:.0f} %"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
