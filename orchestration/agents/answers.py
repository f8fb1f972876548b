"""Parsing a model's answer into the type that was requested. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestration.agents.text import sound
from orchestration.config.schema import AgentRole
from orchestration.workflows import graph
from orchestration.workflows.model import ReviewReport, RunPlan, StepReport, TextAnswer

OUTPUTS: dict[AgentRole, type[BaseModel]] = {
    AgentRole.PLANNER: RunPlan,
    AgentRole.EXECUTOR: StepReport,
    AgentRole.REVIEWER: ReviewReport,
    AgentRole.WORKER: TextAnswer,
}


# Bounds on the parsing work: an answer that consists of opening braces would take quadratic time.
_MOST_TRIES = 500
_MOST_OBJECTS = 20


class MalformedAnswerError(ValueError):
    """The answer does not have the requested form; the message tells the model what to correct."""


def parse(text: str | None, output: type[BaseModel]) -> BaseModel:
    """Parse an answer: a JSON object by itself, in a fence, or within other text. Raises MalformedAnswerError.

    An agent whose result is only text may answer in plain words.
    """
    content = (text or "").strip()
    if not content:
        raise MalformedAnswerError("The answer was empty. Answer with the JSON object that was asked for.")
    found = list(islice(_json_objects(content), _MOST_OBJECTS))
    if not found:
        if output is TextAnswer:
            return TextAnswer(text=content)
        raise MalformedAnswerError(
            "The answer held no complete JSON object. Answer with one JSON object and nothing else."
        )
    problems: dict[int, str] = {}
    for number, candidate in enumerate(found):
        try:
            return _checked(output.model_validate(candidate))
        except ValidationError as error:
            problems[number] = "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'the object'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)
            )
    # Words before the answer may hold braces too: what has the most keys was meant to be it.
    meant = max(problems, key=lambda number: len(found[number]))
    raise MalformedAnswerError(f"The JSON object does not match the schema: {problems[meant]}.")


def _checked(answer: BaseModel) -> BaseModel:
    """Check what the schema cannot express. Raises MalformedAnswerError."""
    if isinstance(answer, RunPlan):
        ids = Counter(step.id for step in answer.steps)
        if twice := [step_id for step_id, count in ids.items() if count > 1]:
            raise MalformedAnswerError(
                f"Each step needs an id of its own; there are several called {', '.join(twice)}."
            )
        try:
            graph.levels({step.id: step.depends_on for step in answer.steps})
        except graph.CycleError as error:
            raise MalformedAnswerError(f"The steps cannot be put in an order: {error}.") from error
    return answer


def response_format(output: type[BaseModel]) -> dict[str, Any]:
    """The `response_format` of the request, for providers that can enforce a schema."""
    return {"type": "json_schema", "json_schema": {"name": output.__name__, "schema": output.model_json_schema()}}


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    """The complete top-level JSON objects in the text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            return
        try:
            found, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield sound(found)
        start = text.find("{", end)
