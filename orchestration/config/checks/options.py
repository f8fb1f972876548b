"""The `options` of a channel or provider, which its kind describes with a model of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem


def check_options(
    model: type[BaseModel] | None, options: Mapping[str, Any], path: JsonPath, what: str
) -> Iterator[Problem]:
    """What is wrong with the options at `path`; `what` is such as `a channel of the type "own.push"`."""
    if model is None:
        for key in options:
            message = f'{what} has no option "{key}"'
            yield Problem(FindingCode.UNKNOWN_KEY, (*path, key), message, hint="It has no effect; remove it.")
        return
    try:
        model.model_validate(options)
    except ValidationError as error:
        # Without the input: a value may be a secret, and findings are printed and served.
        for detail in error.errors(include_input=False, include_url=False):
            message = f"the options of {what} are wrong"
            yield Problem(FindingCode.WRONG_VALUE, (*path, *detail["loc"]), message, detail["msg"])
