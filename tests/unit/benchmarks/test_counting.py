"""What is counted of a peer's drill, from its effects and its output."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.drilled import counting
from benchmarks.drilled.counting import STEPS, Line, Record


def records(*effects: str) -> list[Record]:
    """Effects such as `tool part-1`, a second apart."""
    return [Record(*effect.split(), at=float(number)) for number, effect in enumerate(effects)]


def lines(*texts: str) -> list[Line]:
    """Lines, a second apart."""
    return [Line(float(number), text) for number, text in enumerate(texts)]


def test_a_job_that_starts_over_repeats_what_it_had_committed() -> None:
    seen = records("saved plan", "saved part-1", "tool part-2", "saved plan", "saved part-1", "tool part-2")
    assert counting.repeated_steps(seen) == {"plan", "part-1"}


def test_a_step_that_was_under_way_is_not_a_committed_one() -> None:
    seen = records("saved plan", "tool part-1", "tool part-1", "saved part-1", "saved part-1")
    assert counting.repeated_steps(seen) == set()


@given(st.lists(st.sampled_from(STEPS)))
def test_only_a_step_before_the_furthest_can_be_repeated(steps: list[str]) -> None:
    seen = records(*(f"saved {step}" for step in steps))
    assert counting.repeated_steps(seen) <= counting.committed_steps(seen)


@given(st.lists(st.sampled_from(STEPS)))
def test_a_job_that_never_goes_back_repeats_nothing(steps: list[str]) -> None:
    onward = sorted(steps, key=STEPS.index)
    assert counting.repeated_steps(records(*(f"saved {step}" for step in onward))) == set()


def test_steps_are_committed_once_a_later_one_has_begun() -> None:
    assert counting.committed_steps(records("saved plan", "tool part-1")) == {"plan"}
    assert counting.committed_steps([]) == set()


def test_a_record_that_was_cut_off_by_a_kill_does_not_count() -> None:
    whole = json.dumps({"what": "saved", "step": "plan", "at": 1.5})
    assert counting.read_records(f"{whole}\n{whole[:20]}") == [Record("saved", "plan", 1.5)]


def test_a_step_goes_on_with_its_first_artifact_after_the_fault() -> None:
    seen = records("saved part-1", "tool part-2", "saved part-2", "saved part-2")
    assert counting.saved_after(seen, "part-2", 0.5) == pytest.approx(1.5)
    assert counting.saved_after(seen, "part-1", 0.5) is None


def test_a_step_whose_tool_never_worked_is_hollow() -> None:
    seen = records("saved plan", "tool part-1", "worked part-1", "saved part-1", "tool part-2", "saved part-2")
    assert counting.hollow_steps(seen) == ["part-2"]


def test_a_tool_that_worked_at_a_second_try_has_worked() -> None:
    assert counting.hollow_steps(records("tool part-1", "tool part-1", "worked part-1", "saved part-1")) == []


@pytest.mark.parametrize(
    "text",
    [
        'INFO httpx HTTP Request: POST http://127.0.0.1:1/v1/chat/completions "HTTP/1.1 429 Too Many Requests"',
        "Traceback (most recent call last):",
        "falling back: ConnectionError()",
        "Recovering 1 workflows",
    ],
)
def test_a_line_that_speaks_of_trouble_is_a_sign(text: str) -> None:
    assert counting.first_sign(lines("all is well", text), 0.5) == Line(1.0, text)


def test_what_was_printed_before_the_fault_is_no_sign() -> None:
    assert counting.first_sign(lines("an error", "all is well"), 0.5) is None


def test_what_is_printed_on_a_good_day_too_is_no_sign() -> None:
    usual = "no workflows to recover after {} s, request {}"
    seen = lines(usual.format(1, "0af3b2c19d"), usual.format(22, "17c9aa02ff"), "failed")
    assert counting.first_sign(seen, 0.5) == Line(2.0, "failed")


def test_a_good_answer_is_no_sign() -> None:
    assert counting.first_sign(lines('POST http://127.0.0.1:1/ "HTTP/1.1 200 OK"'), -1.0) is None


def test_half_an_answer_is_a_broken_artifact() -> None:
    found = counting.broken_artifacts({"part-1": '{"done": tr', "plan": '{"steps": []}', "review": ""})
    assert found == ["part-1", "review"]
