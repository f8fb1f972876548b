"""Parsing a model's answer into the type that was requested. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestration.agents.answer_forms import EXAMPLES, is_attempt, mended, unwrapped
from orchestration.agents.text import excerpt
from orchestration.config.agents import AgentRole
from orchestration.providers.dialects.json_reader import FoundJson, NotJsonError, find_json, read_json
from orchestration.providers.dialects.surrogates import sound_value
from orchestration.providers.dialects.thoughts import THINKING, without_thinking
from orchestration.workflows import graph
from orchestration.workflows.model import PlanStep, ReviewReport, RunPlan, StepReport, TextAnswer

OUTPUTS: dict[AgentRole, type[BaseModel]] = {
    AgentRole.PLANNER: RunPlan,
    AgentRole.EXECUTOR: StepReport,
    AgentRole.REVIEWER: ReviewReport,
    AgentRole.WORKER: TextAnswer,
}
_SHOWN_CHARACTERS = 80
_MOST_PROBLEMS = 8
_NUMBERED = re.compile(r"^[ \t]*(?:step\s+)?(\d{1,2})[.):][ \t]+\S", re.IGNORECASE | re.MULTILINE)
_LEAST_LISTED = 2


class MalformedAnswerError(ValueError):
    """The answer does not have the requested form: `problem` is for people, too, the message tells the model what to
    do about it.

    `attempted` says that an answer in the form was tried, so that only the form is wrong.
    """

    def __init__(self, problem: str, output: type[BaseModel], *, attempted: bool = False) -> None:
        super().__init__(f"{problem} {instead(output)}")
        self.problem = problem
        self.attempted = attempted


def parse(text: str | None, output: type[BaseModel]) -> BaseModel:
    """Parse an answer. Raises MalformedAnswerError.

    Of several answers in one text, the last complete one counts, and what the model only thought does not. An agent
    whose result is text is taken at its word: only a text that is nothing but `{"text": …}` is unwrapped.
    """
    said = sound_value(without_thinking(text or ""))
    if not said.strip():
        raise MalformedAnswerError("The answer was empty.", output)
    if output is TextAnswer:
        return _text(said)
    content = _decoded(said.strip())
    found = _objects(content, output)
    attempts = [one for one in found if is_attempt(one.value, output)]
    if not attempts:
        raise MalformedAnswerError(_no_object(found), output)
    _check_nothing_follows(content, attempts[-1], output)
    answer = _validated(attempts[-1].value, output)
    if isinstance(answer, ReviewReport) and answer.verdict == "approved":
        _check_unanimous(attempts)
    return answer


def plan_in_words(text: str) -> RunPlan | None:
    """The plan that a numbered list is, as one step, since which part depends on which is not said. None for any other
    text."""
    said = sound_value(without_thinking(text)).strip()
    numbers = [int(found.group(1)) for found in _NUMBERED.finditer(said)]
    if len(numbers) < _LEAST_LISTED or numbers != list(range(1, len(numbers) + 1)):
        return None
    step = PlanStep(id="s1", title="Carry out the plan", instructions=said)
    return RunPlan(summary="The planner gave its steps in words.", steps=(step,))


def of_own_code(value: Any, output: type[BaseModel]) -> BaseModel:
    """What the user's own function returned, as its type. Raises MalformedAnswerError."""
    if isinstance(value, str):
        return parse(value, output)
    if isinstance(value, dict):
        return _validated(value, output)
    raise MalformedAnswerError(f"It returned {excerpt(json.dumps(value), _SHOWN_CHARACTERS)}.", output)


def is_answer(text: str | None, output: type[BaseModel]) -> bool:
    """Whether a text is, or ends with, an answer in the requested form."""
    try:
        parse(text, output)
    except MalformedAnswerError:
        return False
    return True


def _text(content: str) -> TextAnswer:
    try:
        value = read_json(content)
    except NotJsonError:
        return TextAnswer(text=content)
    inner = value["text"] if isinstance(value, dict) and set(value) == {"text"} else value
    return TextAnswer(text=inner if isinstance(inner, str) and inner.strip() else content)


def _decoded(content: str) -> str:
    """An answer that was written as a JSON text is what that text says."""
    try:
        whole = read_json(content)
    except NotJsonError:
        return content
    return whole if isinstance(whole, str) else content


def _objects(content: str, output: type[BaseModel]) -> Sequence[FoundJson]:
    """The JSON values of an answer, out of what is wrapped around each."""
    found = find_json(content, THINKING)
    return [FoundJson(unwrapped(sound_value(one.value), output), one.start, one.end) for one in found]


def _no_object(found: Sequence[FoundJson]) -> str:
    last = found[-1].value if found else None
    if not isinstance(last, dict):
        return "The answer held no complete JSON object."
    keys = ", ".join(f"'{key}'" for key in last) or "no keys"
    return f"The JSON object does not match the schema: it has {excerpt(keys, _SHOWN_CHARACTERS)}."


def _check_nothing_follows(content: str, last: FoundJson, output: type[BaseModel]) -> None:
    """Raise MalformedAnswerError if another answer begins after the last complete one: it may have said otherwise."""
    keys = "|".join(name for name, field in output.model_fields.items() if field.is_required())
    if re.search(rf"""\{{[^{{}}]*["'\u201c]?\b({keys})["'\u201d]?\s*:""", THINKING.sub("", content[last.end :])):
        message = "After the last complete JSON object another one begins that cannot be read."
        raise MalformedAnswerError(message, output, attempted=True)


def _check_unanimous(attempts: Sequence[FoundJson]) -> None:
    """Raise MalformedAnswerError if a review approves, and also gives another verdict."""
    verdicts = {str(mended(one.value, ReviewReport).get("verdict", "approved")) for one in attempts}
    if verdicts != {"approved"}:
        message = "The answer gave several verdicts that contradict each other. Give the one that you mean."
        raise MalformedAnswerError(message, ReviewReport, attempted=True)


def _validated(value: dict[str, Any], output: type[BaseModel]) -> BaseModel:
    """The answer as its type. Raises MalformedAnswerError with the place and reason of each problem."""
    try:
        answer = output.model_validate(mended(value, output))
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_url=False)[:_MOST_PROBLEMS])
        message = f"The JSON object does not match the schema: {problems}."
        raise MalformedAnswerError(message, output, attempted=True) from error
    if isinstance(answer, RunPlan):
        _check_plan(answer)
    return answer


def _problem(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"])) or "the object"
    got = "" if error["type"] == "missing" else f" (got {excerpt(repr(error['input']), _SHOWN_CHARACTERS)})"
    return f"{place}: {error['msg']}{got}"


def instead(output: type[BaseModel]) -> str:
    """What to answer, with a correct example."""
    if output is TextAnswer:
        return f"Answer with {EXAMPLES[output]}."
    return f"Answer with one JSON object and nothing else. An example of the form: {EXAMPLES[output]}"


def _check_plan(plan: RunPlan) -> None:
    """Check what the schema cannot express. Raises MalformedAnswerError."""
    ids = Counter(step.id for step in plan.steps)
    if twice := [step_id for step_id, count in ids.items() if count > 1]:
        message = f"Each step needs an id of its own; there are several called {', '.join(twice)}."
        raise MalformedAnswerError(message, RunPlan, attempted=True)
    try:
        graph.levels({step.id: step.depends_on for step in plan.steps})
    except graph.CycleError as error:
        message = f"The steps cannot be put in an order: {error}."
        raise MalformedAnswerError(message, RunPlan, attempted=True) from error


def response_format(output: type[BaseModel]) -> dict[str, Any]:
    """The `response_format` of the request, for providers that can enforce a schema."""
    return {"type": "json_schema", "json_schema": {"name": output.__name__, "schema": output.model_json_schema()}}
