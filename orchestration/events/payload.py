"""What an event carries: the base of every type in the catalogue, and how stored data becomes one again. Pure."""

from __future__ import annotations

import dataclasses
import logging
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints


class EventPayload:
    """One kind of event. A subclass is a frozen dataclass: its docstring is the meaning, its fields are the data.

    `kind` is stored and streamed and never changes its meaning. `template` is the sentence for people, with the names
    of fields in braces; a type whose sentence depends on more than that overrides `sentence`.
    """

    __slots__ = ()

    kind: ClassVar[str]
    template: ClassVar[str]
    # Stated by each type, because every line at ERROR counts towards the alert `errors-logged`.
    level: ClassVar[int] = logging.INFO
    # Whether the sentence is about the run as a whole: it then begins with the run's identifier.
    about_run: ClassVar[bool] = False
    # Whether people who follow a run see it as a line; the other events are for machines and for the log.
    followed: ClassVar[bool] = False

    def sentence(self) -> str:
        """The event in words, without its subject (the agent or the run)."""
        kind: Any = type(self)
        return self.template.format(**{name: getattr(self, name) for name in _fields(kind)})

    def data(self) -> dict[str, Any]:
        """The fields as JSON values. Optional ones that were not given are left out, as they were in older rows."""
        kind: Any = type(self)
        values = {name: (getattr(self, name), default) for name, (_, default) in _fields(kind).items()}
        return {name: _json(value) for name, (value, default) in values.items() if not value is default is None}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Read stored data, of another release perhaps. Never fails.

        A field that is missing, or of another type, has its default, or else an empty value; unknown ones are ignored.
        """
        payload: Self = _read(cls, data)
        return payload


@dataclass(frozen=True, slots=True)
class UnlistedPayload(EventPayload):
    """Data of a kind that the catalogue does not know: from a plug-in, or from a newer release."""

    # Of no kind, so that it is never taken for one of the catalogue.
    kind: ClassVar[str] = ""
    template: ClassVar[str] = "something happened"


@cache
def _fields(cls: Any) -> Mapping[str, tuple[Any, Any]]:
    """The type and the default of each field."""
    # Cached by class: resolving annotations is slow, and each event that is published or read needs them.
    hints = get_type_hints(cls)
    return {field.name: (hints[field.name], field.default) for field in dataclasses.fields(cls)}


def _read(cls: Any, data: Mapping[str, Any]) -> Any:
    values = {}
    for name, (hint, default) in _fields(cls).items():
        try:
            values[name] = _fitted(hint, data[name])
        # Per field, not for the whole: one odd value in an old row must not hide the others from a page or a report.
        except (KeyError, TypeError):
            values[name] = _empty(hint) if default is dataclasses.MISSING else default
    return cls(**values)


def _fitted(hint: Any, value: Any) -> Any:
    """The value as this type. Raises TypeError where it does not fit."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    # The catalogue writes optional fields as `X | None`, so the first argument is the type of a value.
    if origin in (Union, types.UnionType):
        return None if value is None else _fitted(arguments[0], value)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_fitted(arguments[0], one) for one in value)
    if isinstance(value, Mapping):
        if dataclasses.is_dataclass(hint):
            return _read(hint, value)
        if origin is not None and issubclass(origin, Mapping):
            return dict(value)
    # JSON does not tell 1 from 1.0, and other writers store whole numbers of seconds as integers.
    if hint is float and isinstance(value, int | float):
        return float(value)
    # `bool` is an `int` to Python, but a flag is no number to a reader.
    if isinstance(hint, type) and isinstance(value, hint) and isinstance(value, bool) is (hint is bool):
        return value
    raise TypeError(f"expected {hint}, got {type(value).__name__}")


_AS_IT_IS = frozenset({str, int, float, bool, type(None)})


def _empty(hint: Any) -> Any:
    origin = get_origin(hint)
    if hint is Any or origin in (Union, types.UnionType):
        return None
    if origin is tuple:
        return ()
    if origin is not None:
        return {}
    return _read(hint, {}) if dataclasses.is_dataclass(hint) else hint()


def _json(value: Any) -> Any:
    if type(value) in _AS_IT_IS:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _json(one) for name, one in value.items()}
    return value
