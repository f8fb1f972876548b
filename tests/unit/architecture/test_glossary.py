"""The glossary: sorted, one entry for each term, every term in use, every link leading somewhere."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from tests.support.project import ROOT

_PAGE = ROOT / "docs" / "reference" / "glossary.md"
_ENTRY = re.compile(r"^\| (?P<term>.+?) \| (?P<meaning>.+?) \|$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def entries() -> list[tuple[str, str]]:
    found = [(one["term"], one["meaning"]) for one in _ENTRY.finditer(_PAGE.read_text(encoding="utf-8"))]
    return [entry for entry in found if entry[0] not in ("term", "---")]


@cache
def all_words() -> str:
    """The package and the other documents, with `severity_reason` and `SeverityReason` read as "severity reason"."""
    files = [*(ROOT / "orchestration").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files if file != _PAGE)
    return _plain(_HUMP.sub(" ", text))


def _plain(text: str) -> str:
    return re.sub(r"[_\s-]+", " ", text).lower()


def test_the_terms_are_sorted_and_each_is_there_once() -> None:
    terms = [term for term, _ in entries()]
    assert len(terms) >= 60
    assert terms == sorted(set(terms), key=str.lower)


def test_every_term_is_in_use() -> None:
    assert [term for term, _ in entries() if not re.search(rf"\b{_plain(term)}", all_words())] == []


def test_a_meaning_is_one_or_two_lines() -> None:
    assert [term for term, meaning in entries() if not 15 <= len(re.sub(r"\(\S+\)", "", meaning)) <= 240] == []


def test_every_link_leads_to_a_page() -> None:
    links = _LINK.findall(_PAGE.read_text(encoding="utf-8"))
    assert len(links) > 20
    assert [link for link in links if not (Path(_PAGE.parent) / link).exists()] == []
