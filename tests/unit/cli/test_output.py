"""What the console writes cannot steer the terminal, whoever wrote it."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.cli import common
from orchestration.cli.output import echo, visible
from orchestration.cli.render import console, table

PACKAGE = Path(common.__file__).parent
_OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def steers(character: str) -> bool:
    control = unicodedata.category(character) in {"Cc", "Zl", "Zp"} and character not in "\t\n"
    return control or unicodedata.bidirectional(character) in _OVERRIDES


@given(st.text())
def test_nothing_that_steers_is_left_and_the_rest_stays(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert not any(map(steers, shown))
    assert all(new == old for new, old in zip(shown, text, strict=True) if not steers(old))


HOSTILE = "web\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\u202c \x9b31m\rforged"


def test_texts_tables_and_json_are_safe(capsys: pytest.CaptureFixture[str]) -> None:
    echo(HOSTILE)
    console().print(table(("NAME",), [(HOSTILE,)]))
    common.print_json({"name": HOSTILE})
    printed = capsys.readouterr().out
    assert not [character for character in printed if steers(character)]
    assert json.loads(printed[printed.index("{") :]) == {"name": HOSTILE}


def test_everything_goes_through_it() -> None:
    others = [path for path in sorted(PACKAGE.glob("*.py")) if path.name != "output.py"]
    assert not [
        path.name for path in others if re.search(r"\bclick\.s?echo\b|(?<![.\w])print\(", path.read_text("utf-8"))
    ]
