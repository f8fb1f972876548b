from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.answer_forms import EXAMPLES
from orchestration.agents.answers import OUTPUTS, MalformedAnswerError, parse, plan_in_words, response_format
from orchestration.workflows.model import ReviewReport, RunPlan, StepReport, TextAnswer
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
    assert found == ReviewReport(summary="\ufffd", verdict="approved")


YES: dict[str, Any] = {"verdict": "approved", "summary": "Right."}
NO: dict[str, Any] = {"verdict": "changes_requested", "summary": "Wrong.", "findings": []}
REVIEWS = st.sampled_from([YES, NO, {"verdict": "Approved", "summary": "s"}, {"verdict": "rejected", "summary": "s"}])
AROUND = st.sampled_from(
    ["", "\n", " Let me see: ", "```json\n", "\n```\n", "<think>", "</think>", "</think>\n", "{", '"']
)


def verdict(text: str) -> str | None:
    try:
        review = parse(text, ReviewReport)
    except MalformedAnswerError:
        return None
    assert isinstance(review, ReviewReport)
    return review.verdict


@given(st.lists(st.tuples(AROUND, REVIEWS), min_size=1, max_size=4), AROUND)
def test_nothing_is_approved_that_was_refused_in_the_same_answer(
    parts: list[tuple[str, dict[str, Any]]], end: str
) -> None:
    text = "".join(f"{around}{json.dumps(review)}" for around, review in parts) + end
    if verdict(text) == "approved":
        thought = [around.startswith("<think>") for around, _ in parts]
        said = [review for (_, review), hidden in zip(parts, thought, strict=True) if not hidden]
        # A refusal before an approval can only have been a thought, which some tag around it ends.
        assert parts[-1][1]["verdict"] in ("approved", "Approved") or any("think" in around for around, _ in parts)
        assert all(one["verdict"] in ("approved", "Approved") for one in said) or "think" in text


@given(st.sampled_from([YES, {"verdict": "Approved", "summary": "s", "findings": None}]), st.data())
def test_an_approval_that_was_cut_off_or_damaged_is_none(review: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(review)
    assert verdict(text) == "approved"
    assert verdict(text[: data.draw(st.integers(0, len(text) - 1))]) is None
    assert verdict(text + ' {"verdict": "chan') is None
    assert verdict(text.replace("pproved", "pproved | changes_requested")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<think>{json.dumps(YES)}</think>{json.dumps(NO)}", "changes_requested"),
        (f"{json.dumps(NO)}<think>or {json.dumps(YES)}", "changes_requested"),
        (f"A form: {json.dumps(YES)} Mine: {json.dumps(NO)}", "changes_requested"),
        (f"At first: {json.dumps(NO)} In the end: {json.dumps(YES)}", None),
        (json.dumps({**YES, "findings": [{"severity": "Critical", "message": "m"}]}), "changes_requested"),
        (json.dumps({"review": {**YES, "verdict": "APPROVE"}}), "approved"),
        ('{"verdict": "approved", "verdict": "changes_requested", "summary": "s"}', None),
    ],
)
def test_a_gate_is_open_only_where_it_was_opened(text: str, expected: str | None) -> None:
    assert verdict(text) == expected


@given(st.text(max_size=300))
def test_a_text_is_kept_as_it_is(text: str) -> None:
    report = f"The report.\n\n{text}\n\nThat is all."
    found = parse(report, TextAnswer)
    assert isinstance(found, TextAnswer)
    assert "think" in text.casefold() or found.text == report.encode("utf-8", "replace").decode()


def test_examples_are_correct_and_would_do_no_harm() -> None:
    assert {output for output in OUTPUTS.values() if output is not TextAnswer} == set(EXAMPLES) - {TextAnswer}
    assert isinstance(parse(EXAMPLES[RunPlan], RunPlan), RunPlan)
    report = parse(EXAMPLES[StepReport], StepReport)
    assert isinstance(report, StepReport)
    assert not report.done
    assert verdict(EXAMPLES[ReviewReport]) == "changes_requested"


@pytest.mark.parametrize(
    ("step", "meant"),
    [
        ({"id": 1}, {"id": "1"}),
        ({"id": "Mend the sum!"}, {"id": "Mend-the-sum"}),
        ({"depends_on": None, "files": "a.py"}, {"depends_on": (), "files": ("a.py",)}),
        ({"instructions": ["First.", "Then."]}, {"instructions": "First.\nThen."}),
        ({"Title": "t", "title": "u"}, {"title": "u"}),
    ],
)
def test_a_plan_in_nearly_the_form_is_understood(step: dict[str, Any], meant: dict[str, Any]) -> None:
    plan = parse(json.dumps({**PLAN, "steps": {**PLAN["steps"][0], **step}}), RunPlan)
    assert isinstance(plan, RunPlan)
    assert {name: getattr(plan.steps[0], name) for name in meant} == meant


def test_a_correction_names_place_reason_and_an_example() -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        parse('{"verdict": "perhaps", "summary": "s"}', ReviewReport)
    assert "verdict: Input should be 'approved' or 'changes_requested' (got 'perhaps')" in str(caught.value)
    assert EXAMPLES[ReviewReport] in str(caught.value)
    assert caught.value.attempted


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("1. Open prices.py\n2. Mend it", True),
        ("Here is my plan:\n\n1) Read it.\n   a. all of it\n2) Mend it.\n\nShall I begin?", True),
        ("<think>1. a\n2. b</think>Step 1: read.\nStep 2: mend.", True),
        ("I can't help with that.", False),
        ("1. Only one thing.", False),
        ("<think>1. a\n2. b</think>Let me see.", False),
        ("Line 3. is wrong\nso is\n7. this", False),
        ("", False),
    ],
)
def test_a_numbered_list_is_a_plan_and_no_other_words_are(text: str, taken: bool) -> None:
    plan = plan_in_words(text)
    assert (plan is not None) == taken
    if plan is not None:
        assert RunPlan.model_validate(plan.model_dump(mode="json")) == plan
        assert "think" not in plan.steps[0].instructions
