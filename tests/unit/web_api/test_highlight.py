"""Colours for source: the text stays what it was, whatever it is, and nothing of it becomes markup."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.web.pages.highlight import highlighted

TAGS = re.compile(r"</?span(?: class=\"hl-[a-z]\")?>")


@example(["\r", ""], "a.py")
@example(["\ufeffx = 1", "a\rb"], "a.py")
@given(
    st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=30), min_size=1, max_size=8),
    st.sampled_from(["a.py", "b.JS", "c.html", "d.json", "e.sh", "f.unknown", "g.yml", "h.c", "i.sql", "Makefile"]),
)
def test_the_text_is_the_same_line_by_line(lines: list[str], path: str) -> None:
    found = highlighted(lines, path)
    assert len(found) == len(lines)
    for line, html in zip(lines, found, strict=True):
        plain = TAGS.sub("", str(html))
        assert "<" not in plain
        assert unescape(plain) == line


def test_a_language_is_known_by_its_ending() -> None:
    assert '<span class="hl-k">def</span>' in highlighted(["def f(): pass"], "pkg/f.py")[0]
    assert highlighted(["def f(): pass"], "f.txt") == ["def f(): pass"]


@pytest.mark.parametrize("lines", [["x" * 2_000], ["x = 1"] * 20_000])
def test_what_is_too_long_for_colours_is_shown_without(lines: list[str]) -> None:
    assert highlighted(lines, "f.py")[0] == lines[0]
