"""Typed values to the JSON that the engine stores, and back. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from orchestration.errors import OrchestratorError

T = TypeVar("T")

# A type that pydantic knows how to read and write: a model, a dataclass, a plain type. A union or another special form
# is no `type` for a type checker, so it is given as its adapter: `TypeAdapter[str | None](str | None)`.
StoredType = type[T] | TypeAdapter[T]

JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)

# Building an adapter costs as much as hundreds of reads with it, and every step needs one.
_adapters: dict[Any, TypeAdapter[Any]] = {}


class StoredValueError(OrchestratorError):
    """What the engine has stored, or is to store, does not fit the type that the flow declares for it."""


def to_json(model: StoredType[T], value: T) -> Any:
    """The JSON of a value, under the keys by which `from_json` reads it."""
    return _adapter(model).dump_python(value, mode="json", by_alias=True)


def from_json(model: StoredType[T], stored: Any, subject: str) -> T:
    """The value that was stored as this JSON. Raises StoredValueError, which names the `subject`."""
    try:
        return _adapter(model).validate_python(stored)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"])) or "the value"
        raise StoredValueError(f"{subject} cannot be read as {_name(model)}: {place}: {problem['msg']}") from error


def _adapter(model: StoredType[T]) -> TypeAdapter[T]:
    if isinstance(model, TypeAdapter):
        return model
    if model not in _adapters:
        _adapters[model] = TypeAdapter(model)
    return _adapters[model]


def _name(model: StoredType[T]) -> str:
    return "the declared type" if isinstance(model, TypeAdapter) else model.__name__
