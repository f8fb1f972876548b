"""Secrets come back where an agent leaves their marks, and never in another place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.tools.shown_text import HiddenTextError, ShownText, has_marks, hides
from orchestration.security.redaction import Redactor

FIND = Redactor().find
KEY = (
    "-----BEGIN PRIVATE KEY-----\n"
    + "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2] * 3)
    + "\n-----END PRIVATE KEY-----"
)
SETTINGS = """\
DEBUG = False
DB_PASSWORD = "Sommer-2026-am-See"
MAIL_PASSWORD = "Winter-2025-im-Wald"
RETRIES = 3
"""


def edited(text: str, *changes: tuple[str, str]) -> str:
    """What the file holds after the changes of an agent to what it was shown."""
    shown = ShownText(text, FIND)
    new = shown.text
    for old, by in changes:
        assert old in new
        new = new.replace(old, by, 1)
    return "\n".join(shown.restored(new))


def test_lines_around_are_changed_and_the_secrets_stay() -> None:
    assert edited(SETTINGS, ("False", "True"), ("RETRIES = 3", "RETRIES = 5")) == SETTINGS.replace(
        "False", "True"
    ).replace("= 3", "= 5")


def test_the_name_before_a_mark_says_which_secret_it_stands_for() -> None:
    result = edited(
        SETTINGS, ("DEBUG = False\n", ""), ('MAIL_PASSWORD = "', 'SMTP = dict(MAIL_PASSWORD = "'), ("RETRIES", "TRIES")
    )
    assert 'SMTP = dict(MAIL_PASSWORD = "Winter-2025-im-Wald"' in result
    assert 'DB_PASSWORD = "Sommer-2026-am-See"' in result


def test_of_one_secret_it_is_clear_what_is_meant() -> None:
    text = 'password = "Sommer-2026-am-See"\n'
    assert edited(text, ("password = ", "settings.secret_of_the_database = ")) == (
        'settings.secret_of_the_database = "Sommer-2026-am-See"\n'
    )


def test_of_several_none_is_guessed() -> None:
    with pytest.raises(HiddenTextError, match="which of the 2 in the file is not clear"):
        edited(SETTINGS, ("DB_PASSWORD = ", "SOMETHING_ELSE = "))


def test_lines_that_look_alike_keep_their_own_secret() -> None:
    text = "a:\n  password: Sommer-2026-am-See\nb:\n  password: Winter-2025-im-Wald\nc: 1\n"
    assert edited(text, ("c: 1", "c: 2")) == text.replace("c: 1", "c: 2")
    assert edited(text, ("a:\n", "first:\n")) == text.replace("a:\n", "first:\n", 1)


def test_a_secret_of_several_lines_comes_back_whole() -> None:
    text = f"import ssl\nKEY = '''\n{KEY}\n'''\nPORT = 1\n"
    shown = ShownText(text, FIND)
    assert "MIIE" not in shown.text
    assert edited(text, ("PORT = 1", "PORT = 2")) == text.replace("PORT = 1", "PORT = 2")


def test_a_mark_that_is_in_the_file_itself_stays_one() -> None:
    text = 'assert shown == "[redacted:password]"\npassword = "Sommer-2026-am-See"\n'
    assert edited(text, ("assert", "assert True; assert")) == text.replace("assert", "assert True; assert")


def test_a_mark_of_a_kind_that_the_file_does_not_hold_is_left() -> None:
    shown = ShownText(SETTINGS, FIND)
    assert shown.restored(shown.text + "# [redacted:jwt]")[-1] == "# [redacted:jwt]"


def test_what_is_no_mark_is_none() -> None:
    assert not has_marks("[redacted", "[redacted:]", "redacted:password", "[redacted:Two words]")


LONG = "x" * 2500
DATA = (
    b"first = 1\nname = 'x\xe9y'\nother = 'fa\xe7ade'\n".decode("utf-8", "surrogateescape")
    + f"data = '{LONG}'\nlast = 2\n"
)


def test_bytes_that_are_no_utf8_and_the_rest_of_long_lines_stay() -> None:
    shown = ShownText(DATA, FIND, cut=True)
    assert "x\ufffdy" in shown.text
    assert "[… 509 more]" in shown.text
    new = shown.text.replace("first = 1", "first = 3").replace("name = 'x", "    name = 'x")
    assert hides(new)
    assert "\n".join(shown.restored(new)) == DATA.replace("first = 1", "first = 3").replace("name", "    name")


@pytest.mark.parametrize("line", ["place = 'x\ufffdy'", f"more = '{'y' * 1990}[… 509 more]"])
def test_a_line_of_which_not_all_was_shown_cannot_be_made_up(line: str) -> None:
    shown = ShownText(DATA, FIND, cut=True)
    with pytest.raises(HiddenTextError, match="you were not shown all"):
        shown.restored(f"{shown.text}{line}\n")


def test_where_nothing_is_hidden_such_signs_are_text() -> None:
    shown = ShownText("a = 1\n", FIND, cut=True)
    assert shown.restored("a = '\ufffd'\nb [… 2 more]") == ["a = '\ufffd'", "b [… 2 more]"]


SECRETS = st.sampled_from(["Sommer-2026-am-See", "Winter-2025-im-Wald", "ghp_" + "a1B2c3D4" * 5])
NAMES = st.sampled_from(["password", "DB_PASSWORD", "token", "api_key"])
PLAIN = st.sampled_from(["x = 1", "", "def f():", "    return 'ä'", "[redacted:password]", "# end"])
LINES = st.lists(
    PLAIN | st.builds(lambda name, value: f'{name} = "{value}"', NAMES, SECRETS) | st.just(KEY), max_size=8
)


@given(LINES, st.data())
def test_whatever_lines_are_added_or_taken_away_the_others_are_as_they_were(
    lines: list[str], data: st.DataObject
) -> None:
    text = "\n".join(lines)
    shown = ShownText(text, FIND)
    seen = shown.text.split("\n")
    whole = shown.restored(shown.text)
    assert "\n".join(whole) == text
    keep = data.draw(st.lists(st.booleans(), min_size=len(seen), max_size=len(seen)))
    new = [line for line, kept in zip(seen, keep, strict=True) if kept or has_marks(line)]
    new.insert(data.draw(st.integers(0, len(new))), "# added")
    assert [line for line in shown.restored("\n".join(new)) if line != "# added"] == [
        line for line, was, kept in zip(whole, seen, keep, strict=True) if kept or has_marks(was)
    ]
