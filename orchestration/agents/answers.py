"""From what a model wrote to what was asked for. Pure."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestration.config.schema import AgentRole
from orchestration.workflows.model import Plan, Review, StepReport, Text

OUTPUTS: dict[AgentRole, type[BaseModel]] = {
    AgentRole.PLANNER: Plan,
    AgentRole.EXECUTOR: StepReport,
    AgentRole.REVIEWER: Review,
    AgentRole.WORKER: Text,
}


class MalformedAnswerError(ValueError):
    """The answer is not of the form that was asked for; the message tells the model what to correct."""


def parse(text: str | None, output: type[BaseModel]) -> BaseModel:
    """Read an answer: a JSON object, alone, in a fence, or with words around it. Raises MalformedAnswerError.

    An agent that is only asked for text may answer in plain words.
    """
    content = (text or "").strip()
    if not content:
        raise MalformedAnswerError("The answer was empty. Answer with the JSON object that was asked for.")
    found = _json_object(content)
    if found is None:
        if output is Text:
            return Text(text=content)
        raise MalformedAnswerError(
            "The answer held no complete JSON object. Answer with one JSON object and nothing else."
        )
    try:
        return output.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the object'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        )
        raise MalformedAnswerError(f"The JSON object does not match the schema: {problems}.") from error


def response_format(output: type[BaseModel]) -> dict[str, Any]:
    """The request's `response_format` for providers that can be held to a schema."""
    return {"type": "json_schema", "json_schema": {"name": output.__name__, "schema": output.model_json_schema()}}


def _json_object(text: str) -> dict[str, Any] | None:
    """The first complete JSON object in the text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            start = text.find("{", start + 1)
            continue
        return found if isinstance(found, dict) else None
    return None
