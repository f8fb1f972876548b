from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.redaction import Redactor
from orchestration.security.text_tail import TextTail
from tests.unit.security.test_redaction import BODY, EXAMPLES, PEM

VALUE = "correct horse-battery 77"
REDACTOR = Redactor([VALUE])
TEXTS = [*(text for _, text, _ in EXAMPLES), f"it is {VALUE}!"]
# So many characters of a secret tell something, but for those by which its kind is known.
TELLING, KNOWN_BY = 6, 12


def telling_parts(text: str) -> set[str]:
    """What must never be shown of the secrets in a text."""
    found = [text[match.start : match.end] for match in REDACTOR.find(text)]
    secrets = [BODY if "PRIVATE KEY" in secret else secret for secret in found]
    return {
        secret[at : at + TELLING]
        for secret in secrets
        for at in range(KNOWN_BY if len(secret) > 20 and secret != BODY else 0, max(1, len(secret) - TELLING + 1))
    }


def shown_while_it_grows(text: str, sizes: list[int]) -> list[str]:
    tail = TextTail(REDACTOR)
    shown, at = [], 0
    for size in [*sizes, len(text)]:
        tail.add(text[at : at + size])
        at += size
        shown.append(tail.shown())
    return shown


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_part_of_a_secret_is_shown_wherever_the_parts_end(text: str) -> None:
    """Character by character, which has a border at every place."""
    whole, hidden = f"The log says:\n{text}\nand goes on at length.", telling_parts(text)
    assert hidden
    for shown in shown_while_it_grows(whole, [1] * len(whole)):
        assert not [part for part in hidden if part in shown], shown
    assert shown_while_it_grows(whole, [])[-1].endswith("and goes on at length.")


@given(st.lists(st.sampled_from([*TEXTS, " ", "\n", "plain words "]), max_size=8), st.lists(st.integers(1, 40)))
def test_what_is_shown_is_what_redaction_of_the_whole_would_leave(parts: list[str], sizes: list[int]) -> None:
    text = "\n".join(parts)
    for shown in shown_while_it_grows(text, sizes):
        assert REDACTOR.text(shown) == shown
        assert len(shown) <= 300


def test_plain_words_are_shown_as_they_come() -> None:
    assert shown_while_it_grows("All tests pass. The end", [9, 7]) == [
        "All tests",
        "All tests pass.",
        "All tests pass. The end",
    ]


def test_a_terminals_codes_are_taken_out_and_a_progress_bar_is_shown_as_it_is_now() -> None:
    tail = TextTail(REDACTOR)
    tail.add("\x1b[31mred\x1b[0m\x1b]0;title\x07\n 10%\r 20%\r 30%\r\nnext\u202e\n")
    assert tail.shown() == "red\n 30%\nnext"


def test_a_secret_that_is_long_and_far_away_is_not_uncovered_when_its_beginning_is_dropped() -> None:
    key = (
        PEM.partition("\n")[0]
        + "\n"
        + "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8c"] * 60)
    )
    for shown in shown_while_it_grows(key + "\n", [50] * 80):
        assert "MIIEv" not in shown
