"""The parameters of a tool: their JSON Schema from a function's annotations, and a model's arguments as its values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from orchestration.declarations.task import Call
from orchestration.errors import UsageError

if TYPE_CHECKING:  # takes a tenth of a second to import, which the declaration of an agent must not cost
    from pydantic import BaseModel


class BadCallError(ValueError):
    """A model's arguments do not fit the function; the message says what is wrong with each."""


def schema_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON Schema of a function's parameters. Raises UsageError for one whose types have none."""
    from pydantic.errors import PydanticUserError

    try:
        schema = _model_of(function).model_json_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        raise UsageError(
            f"The parameters of {function.__qualname__} have no JSON Schema: {str(error).splitlines()[0]}. "
            "Annotate each with a type that JSON can hold."
        ) from error
    return {name: value for name, value in schema.items() if name not in ("title", "description")}


def call_with(function: Callable[..., Any], arguments: Mapping[str, Any], call: Call) -> Any:
    """Call a function with a model's arguments. Raises BadCallError, and whatever the function raises."""
    from pydantic import ValidationError

    try:
        # In JSON's terms: a list for a tuple, a text for a date.
        given = _model_of(function).model_validate_json(json.dumps(dict(arguments)))
    except ValidationError as error:
        raise BadCallError(
            "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            )
        ) from error
    values = {name: getattr(given, name) for name in type(given).model_fields}
    return function(**values, **dict.fromkeys(_call_parameters(function), call))


def _model_of(function: Callable[..., Any]) -> type[BaseModel]:
    """The parameters as one model. Unknown arguments are refused, so that a model learns of its mistake."""
    from pydantic import ConfigDict, create_model

    fields: dict[str, Any] = {}
    hints = get_type_hints(function, include_extras=True)
    own = _call_parameters(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name in own:
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"'{parameter}' cannot be given by name")
        if name not in hints:
            raise TypeError(f"'{name}' has no type")
        fields[name] = (hints[name], ... if parameter.default is parameter.empty else parameter.default)
    model: type[BaseModel] = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    return model


def _call_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The parameters that the system fills in."""
    return tuple(name for name, kind in get_type_hints(function).items() if kind is Call and name != "return")
