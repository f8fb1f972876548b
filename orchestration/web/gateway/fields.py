"""Reading the values of a request. Each function raises BadRequestError that names the place and what belongs there.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.web.gateway.errors import BadRequestError


def as_object(value: object, place: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, Mapping):
        raise _wrong(place, "an object", value)
    return value


def as_list(value: object, place: str) -> list[Any]:
    """A list."""
    if not isinstance(value, list):
        raise _wrong(place, "a list", value)
    return value


def as_text(value: object, place: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise _wrong(place, "a text", value)
    return value


def text_in(data: Mapping[str, Any], name: str, place: str) -> str:
    """The text under a name of an object."""
    return as_text(data.get(name), f"{place}.{name}")


def objects(value: object, place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a list, each with its place."""
    for number, one in enumerate(as_list(value, place)):
        yield f"{place}.{number}", as_object(one, f"{place}.{number}")


def as_number(value: object, place: str) -> float:
    """A number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(place, "a number", value)
    return value


def _wrong(place: str, expected: str, value: object) -> BadRequestError:
    names = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    found = "nothing" if value is None else names.get(type(value), type(value).__name__)
    return BadRequestError(f"`{place}` must be {expected}, not {found}.")
