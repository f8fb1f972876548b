from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.thoughts import without_thinking


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>Hmm.</think>Yes.", "Yes."),
        ("\n<thinking>a</thinking>\n<think>b</think>\n\nYes.", "Yes."),
        ("Is it right? Yes.\n</think>\n\nDone.", "Done."),
        ("<think>It never ends", ""),
        ("[THINK]x[/THINK]Yes.", "Yes."),
        ("<|channel|>analysis<|message|>Hmm<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>", "Yes."),
    ],
)
def test_thoughts_is_taken_off(text: str, answer: str) -> None:
    assert without_thinking(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "Models write `<think>` before they answer, and `</think>` after it.",
        "The template:\n\n```\n<think>\n</think>\n```\n\nThat is all.",
        "  indented, with nothing to take off\n",
        "a < b, and <b>bold</b>",
    ],
)
def test_a_text_about_thinking_is_left_as_it_is(text: str) -> None:
    assert without_thinking(text) == text


@given(st.text(alphabet="<>/think[]TH\n x`", max_size=80))
def test_nothing_is_added_and_nothing_raises(text: str) -> None:
    assert without_thinking(text) in text


@given(st.text(st.characters(exclude_characters="<[", exclude_categories=["Cs"]), max_size=60))
def test_what_follows_a_block_is_the_answer(answer: str) -> None:
    assert without_thinking(f"<think>{{}}\n</think>\n{answer}").strip() == answer.strip()
