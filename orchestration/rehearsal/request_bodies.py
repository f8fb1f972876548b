"""Reading and validating request bodies."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from orchestration.errors import UsageError

Shape = TypeVar("Shape", bound=BaseModel)


async def read_json(request: Request) -> Any:
    """The body as JSON. Raises UsageError when it is not."""
    # Any client can send brackets nested so deeply that Python's parser raises RecursionError.
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the body is not valid JSON: {error}") from error


def as_shape(shape: type[Shape], body: object) -> Shape:
    """Validate a body. Raises UsageError that names the first field that is wrong."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        # The input is left out: it holds whole prompts, and would bury the message.
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise UsageError(f"{place} is wrong: {first['msg']}") from error
