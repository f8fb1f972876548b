"""Changing one variable of `.env`."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.credentials import read_env_file
from orchestration.config.env_file import with_variable
from orchestration.errors import UsageError

LINES = [
    "# a comment",
    "",
    "OTHER=1",
    "export KEY='old value'",
    "KEY=old  # why",
    '  THIRD = "x y"',
    'BROKEN="',
    "Q='a'",
]
# Without the quote, which cannot be written in single quotes.
VALUES = st.text(string.ascii_letters + string.digits + ' \\"$#=+/-_.:%&{}()[]!`~^|<>?*@,;äß', max_size=40)


@given(st.lists(st.sampled_from(LINES), max_size=6), VALUES.filter(bool), st.booleans())
def test_the_value_is_read_back_and_every_other_line_stays(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], value: str, ended: bool
) -> None:
    text = "\n".join(lines) + ("\n" if ended else "")
    path = tmp_path_factory.mktemp("env") / ".env"
    before = _read(path, text)
    try:
        changed = with_variable(text, "KEY", value)
    except UsageError:
        assert 'BROKEN="' in lines  # nobody knows what such a file means
        return
    after = _read(path, changed)
    assert after == {**before, "KEY": value}
    kept = [line for line in lines if line and "KEY=" not in line]
    assert [line for line in path.read_text().splitlines() if line and "KEY=" not in line] == kept


def _read(path: Path, text: str) -> dict[str, str]:
    path.write_text(text)
    return read_env_file(path)[0]


def test_a_line_that_a_shell_sources_stays_one() -> None:
    assert with_variable("export KEY=old\n", "KEY", "new") == "export KEY=new\n"
    assert with_variable("A=1", "KEY", "new") == "A=1\nKEY=new\n"


@pytest.mark.parametrize(("name", "value"), [("KEY", "it's"), ("A B", "x")])
def test_what_env_cannot_hold_is_refused_without_the_value(name: str, value: str) -> None:
    with pytest.raises(UsageError) as raised:
        with_variable("", name, value)
    assert value not in str(raised.value) or value == "x"
