from __future__ import annotations

import json

import pytest

from orchestration.agents.answers import MalformedAnswerError, parse, response_format
from orchestration.workflows.model import Plan, Review, Text

PLAN = {"summary": "s", "steps": [{"id": "s1", "title": "t", "instructions": "i"}]}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(PLAN),
        f"```json\n{json.dumps(PLAN, indent=2)}\n```",
        f"Here is the plan {{as asked}}:\n{json.dumps(PLAN)}\nGood luck!",
    ],
    ids=["alone", "fenced", "amid words"],
)
def test_a_json_object_is_found_however_it_is_wrapped(text: str) -> None:
    assert parse(text, Plan) == Plan.model_validate(PLAN)


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_an_empty_answer_is_told_apart(text: str | None) -> None:
    with pytest.raises(MalformedAnswerError, match="empty"):
        parse(text, Plan)


def test_words_without_an_object_are_refused_where_an_object_was_asked_for() -> None:
    with pytest.raises(MalformedAnswerError, match="no complete JSON object"):
        parse("I think we should begin with the tests.", Plan)


def test_words_are_enough_where_text_was_asked_for() -> None:
    assert parse("All quiet.", Text) == Text(text="All quiet.")


def test_the_model_is_told_which_fields_are_wrong() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        parse(json.dumps({"verdict": "maybe", "findings": [{"severity": "huge", "message": "m"}]}), Review)
    message = str(caught.value)
    assert "verdict" in message
    assert "findings.0.severity" in message
    assert "summary" in message


def test_keys_that_were_not_asked_for_are_dropped() -> None:
    assert parse(json.dumps({**PLAN, "confidence": 0.9}), Plan) == Plan.model_validate(PLAN)


def test_the_request_carries_the_schema_of_the_answer() -> None:
    asked = response_format(Review)
    assert asked["type"] == "json_schema"
    assert set(asked["json_schema"]["schema"]["required"]) == {"verdict", "summary"}
