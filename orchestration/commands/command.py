"""What every command is: a frozen dataclass whose fields and specification the surfaces read."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

import annotated_types
from pydantic import AwareDatetime, TypeAdapter

from orchestration.commands.inputs import Input
from orchestration.commands.spec import ApiRoute, CommandSpec


@dataclass(frozen=True, slots=True)
class CommandField:
    """A field of a command, resolved for the surfaces. `annotation` includes the constraints."""

    name: str
    annotation: Any
    kind: Any
    input: Input
    default: Any
    metadata: tuple[Any, ...] = ()

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The least and the most that a number may be."""
        found = {type(each): each for part in self.metadata for each in getattr(part, "metadata", ())}
        least, most = found.get(annotated_types.Ge), found.get(annotated_types.Le)
        return getattr(least, "ge", None), getattr(most, "le", None)


class Command:
    """Something that is done to an incident or a run. How it is applied is up to the subclass.

    Values are not validated when constructed, since automation may record longer texts than a request may contain. The
    API validates requests by the annotations.
    """

    __slots__ = ()
    spec: ClassVar[CommandSpec]

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """The same command with other values."""
        return replace(self, **values)  # type: ignore[type-var]  # every subclass is a dataclass

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """The same command without any secret in its texts. Enums are strings as well, but never secret."""
        values = {field.name: getattr(self, field.name) for field in self.fields()}
        return self.with_values({name: redact(text) for name, text in values.items() if type(text) is str})

    @classmethod
    @functools.cache  # resolving annotations takes a hundred times as long as a command
    def fields(cls) -> tuple[CommandField, ...]:
        """The fields, in the order in which they are declared."""
        hints = typing.get_type_hints(cls, include_extras=True)
        return tuple(
            _field(each.name, hints[each.name], each.default)
            for each in fields(cls)  # type: ignore[arg-type]  # every subclass is a dataclass
        )

    @property
    def api_method(self) -> str:
        """The HTTP method that gives this command."""
        return self._api.method

    @property
    def api_path(self) -> str:
        """The path below the incident or run, with this command's values filled in."""
        return self._api.path.format_map(self._values(in_path=True))

    @property
    def api_body(self) -> Mapping[str, Any] | None:
        """The request body as JSON values; None for a command without any."""
        return self._values(in_path=False) or None

    @property
    def _api(self) -> ApiRoute:
        if self.spec.api is None:
            raise TypeError(f"{type(self).__name__} is for automation only; the API does not offer it")
        return self.spec.api

    def _values(self, *, in_path: bool) -> dict[str, Any]:
        values: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return {field.name: values[field.name] for field in self.fields() if field.input.in_path is in_path}


def _field(name: str, annotation: Any, default: Any) -> CommandField:
    kind, metadata = _unwrapped(annotation)
    found = next((each for each in metadata if isinstance(each, Input)), Input(name))
    # To type checkers AwareDatetime is a datetime, at run time it is a class of its own.
    return CommandField(name, annotation, datetime if kind is AwareDatetime else kind, found, default, metadata)


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type of a field without what it is annotated with, and that; of an optional field, what it holds where it
    holds something."""
    if typing.get_origin(annotation) is Annotated:
        kind, metadata = _unwrapped(annotation.__origin__)
        return kind, (*annotation.__metadata__, *metadata)
    members = [each for each in typing.get_args(annotation) if each is not type(None)]
    return _unwrapped(members[0]) if members else (annotation, ())
