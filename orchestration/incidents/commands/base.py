"""What every incident command is: a frozen dataclass with one pure `apply`, and a specification for the surfaces."""

from __future__ import annotations

import functools
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Literal, Self

import annotated_types
from pydantic import AwareDatetime, TypeAdapter

from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.inputs import Input
from orchestration.security.principal import Role


class ShownWhile(Enum):
    """While an incident is in which state its page offers a form."""

    ALWAYS = "always"
    OPEN = "open"
    RESOLVED = "resolved"
    ELSEWHERE = "elsewhere"
    """The page places the form itself, outside its list of forms."""


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """Where the API serves a command, below `/incidents/{incident}/`; `operation` is its OpenAPI operation."""

    operation: str
    path: str
    method: Literal["POST", "PUT"] = "POST"
    status: int = 200


@dataclass(frozen=True, slots=True)
class PageForm:
    """The form on an incident's page.

    When it is done, the address of the next page carries the word `done`, and that page shows the `confirmation`.
    """

    name: str
    done: str
    confirmation: str
    title: str = ""
    button: str = ""
    shown: ShownWhile = ShownWhile.ELSEWHERE
    order: int = 0
    danger: bool = False
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What the surfaces need to offer a command. One without any surface is for automation only.

    `summary` is the one sentence that the console's help and the API's documentation show. `composite` commands share
    one console command with others, written by hand.
    """

    summary: str
    console: str = ""
    api: ApiRoute | None = None
    page: PageForm | None = None
    role: Role = Role.RESPONDER
    composite: bool = False

    @property
    def for_people(self) -> bool:
        """Whether a person can give this command."""
        return bool(self.console or self.api or self.page)


@dataclass(frozen=True, slots=True)
class CommandField:
    """A field of a command, resolved for the surfaces. `annotation` includes the constraints."""

    name: str
    annotation: Any
    kind: Any
    input: Input
    default: Any

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is MISSING

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The least and the most that a number may be."""
        found = {type(each): each for part in self.annotation.__metadata__ for each in getattr(part, "metadata", ())}
        least, most = found.get(annotated_types.Ge), found.get(annotated_types.Le)
        return getattr(least, "ge", None), getattr(most, "le", None)


class IncidentCommand(ABC):
    """Something that a person or automation does to an incident.

    Values are not validated when constructed, since automation may record longer texts than a request may contain. The
    API validates requests by the annotations.
    """

    __slots__ = ()
    spec: ClassVar[CommandSpec]

    @abstractmethod
    def apply(self, change: IncidentChange) -> None:
        """Make the change. Pure. Raises IncidentRefusedError where the incident's state does not allow it."""

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """The same command with other values."""
        return replace(self, **values)  # type: ignore[type-var]  # every subclass is a dataclass

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
        """The path below the incident, with this command's values filled in."""
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
    metadata = annotation.__metadata__ if typing.get_origin(annotation) is Annotated else ()
    found = next((each for each in metadata if isinstance(each, Input)), Input(name))
    kind = annotation.__origin__ if metadata else annotation
    members = [each for each in typing.get_args(kind) if each is not type(None)]
    if members:  # an optional field: what it holds where it holds something
        kind = members[0]
    while typing.get_origin(kind) is Annotated:
        kind = kind.__origin__
    # To type checkers AwareDatetime is a datetime, at run time it is a class of its own.
    return CommandField(name, annotation, datetime if kind is AwareDatetime else kind, found, default)
