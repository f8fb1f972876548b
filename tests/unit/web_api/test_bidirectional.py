"""Texts that turn their direction turn nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.web.pages.bidirectional import isolated, unmarked

CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CLOSED_BY = {**dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c"), **dict.fromkeys("\u2066\u2067\u2068", "\u2069")}


def open_after(text: str) -> list[str]:
    """The closings that are still owed at the end, by the rules of Unicode; a closing too many fails."""
    owed: list[str] = []
    for character in text:
        if character in CLOSED_BY:
            owed.append(CLOSED_BY[character])
        elif character in ("\u202c", "\u2069"):
            assert owed, "closes what it has not opened"
            assert owed.pop() == character
    return owed


@given(st.text(alphabet=st.sampled_from("ab א" + CONTROLS), max_size=30))
def test_whatever_is_opened_is_closed_and_nothing_else(text: str) -> None:
    shown = isolated(text)
    assert open_after(shown) == []
    assert unmarked(shown) == unmarked(text)
    if any(control in text for control in CONTROLS):
        assert (shown[0], shown[-1]) == ("\u2068", "\u2069")
    else:
        assert shown == text


def test_a_file_name_cannot_lie_about_the_words_after_it() -> None:
    assert isolated("report\u202egpj.exe") == "\u2068report\u202egpj.exe\u202c\u2069"
    assert unmarked("rm \u202e-rf\u202c x") == "rm -rf x"
