from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.answers import MalformedAnswerError, parse, response_format
from orchestration.workflows.model import ReviewReport, RunPlan, TextAnswer
from tests.support.patience import Stopwatch

PLAN: dict[str, Any] = {"summary": "s", "steps": [{"id": "s1", "title": "t", "instructions": "i"}]}


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
    assert parse(text, RunPlan) == RunPlan.model_validate(PLAN)


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_an_empty_answer_is_told_apart(text: str | None) -> None:
    with pytest.raises(MalformedAnswerError, match="empty"):
        parse(text, RunPlan)


def test_words_without_an_object_are_refused_where_an_object_was_asked_for() -> None:
    with pytest.raises(MalformedAnswerError, match="no complete JSON object"):
        parse("I think we should begin with the tests.", RunPlan)


def test_words_are_enough_where_text_was_asked_for() -> None:
    assert parse("All quiet.", TextAnswer) == TextAnswer(text="All quiet.")


def test_the_model_is_told_which_fields_are_wrong() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        parse(json.dumps({"verdict": "maybe", "findings": [{"severity": "huge", "message": "m"}]}), ReviewReport)
    message = str(caught.value)
    assert "verdict" in message
    assert "findings.0.severity" in message
    assert "summary" in message


def test_keys_that_were_not_asked_for_are_dropped() -> None:
    assert parse(json.dumps({**PLAN, "confidence": 0.9}), RunPlan) == RunPlan.model_validate(PLAN)


def test_the_request_carries_the_schema_of_the_answer() -> None:
    asked = response_format(ReviewReport)
    assert asked["type"] == "json_schema"
    assert set(asked["json_schema"]["schema"]["required"]) == {"verdict", "summary"}


def test_braces_before_the_answer_do_not_hide_it() -> None:
    text = f'Use {{}} and {{"a": 1}} with care. {json.dumps(PLAN)} Then {{"b": 2}}.'
    assert parse(text, RunPlan) == RunPlan.model_validate(PLAN)


def test_of_several_objects_the_one_that_was_meant_is_corrected() -> None:
    with pytest.raises(
        MalformedAnswerError, match=r"^The JSON object does not match the schema: steps: Field required"
    ):
        parse('{} {"summary": "s", "risks": []} {"x": 1}', RunPlan)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ({"id": "s1"}, "several called s1"),
        ({"id": "s2", "depends_on": ["s2"]}, "got a circle: s2 → s2"),
    ],
)
def test_a_plan_has_to_be_one_that_can_be_carried_out(second: dict[str, Any], said: str) -> None:
    plan = {"summary": "s", "steps": [PLAN["steps"][0], {"title": "t", "instructions": "i", **second}]}
    with pytest.raises(MalformedAnswerError, match=said):
        parse(json.dumps(plan), RunPlan)


@given(st.text(alphabet='{}[]":,a1\\ \n', max_size=200))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(MalformedAnswerError):
        assert isinstance(parse(text, ReviewReport), ReviewReport)


@pytest.mark.parametrize("text", ["{" * 200_000, '{"a":' * 200_000, '{"a": ' + "9" * 6000 + "}", "{} " * 100_000])
def test_answers_made_of_braces_take_no_time(text: str) -> None:
    started = Stopwatch()
    with pytest.raises(MalformedAnswerError):
        parse(text, RunPlan)
    assert started.is_within(10), started


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    found = parse('{"summary": "\\ud83d", "verdict": "approved"}', ReviewReport)
    assert found == ReviewReport(summary="?", verdict="approved")
