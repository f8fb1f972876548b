from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestration.config.document import MAX_DEPTH, JsonSyntaxError, Position, read, show_path

LETTERS = st.characters(exclude_categories=["Cs"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(LETTERS)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(LETTERS), inner), max_leaves=20)


@given(value=VALUES, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_whatever_json_writes_is_read_as_the_same_value(value: Any, indent: int | None, ascii_only: bool) -> None:
    assert read(json.dumps(value, indent=indent, ensure_ascii=ascii_only)).value == value


@given(st.text(st.sampled_from('{}[]",:0123456789.-eE+truefalsn \n\\u/x'), max_size=12))
def test_what_json_refuses_is_refused_here_too(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(JsonSyntaxError):
            read(text)
    else:
        assume("inf" not in repr(expected))
        assert read(text).value == expected


def test_every_part_knows_where_it_stands() -> None:
    document = read('{\n  "a": [1,\r\n     {"b": "é", "c": null}]\n}')
    assert document.values == {
        (): Position(1, 1),
        ("a",): Position(2, 8),
        ("a", 0): Position(2, 9),
        ("a", 1): Position(3, 6),
        ("a", 1, "b"): Position(3, 12),
        ("a", 1, "c"): Position(3, 22),
    }
    assert document.keys[("a", 1, "c")] == Position(3, 17)


def test_a_place_that_is_not_there_is_found_at_the_nearest_thing_around_it() -> None:
    document = read('{"a": {"b": 1}}')
    assert document.position(("a", "x", 3, "y")) == document.values[("a",)]


def test_a_key_that_stands_twice_is_told_with_its_place() -> None:
    document = read('{"a": {"b": 1,\n "b": 2}}')
    assert document.duplicates == ((("a", "b"), Position(2, 2)),)


def test_a_path_is_shown_as_people_write_it() -> None:
    assert show_path(("agents", 2, "tools", 0)) == "agents[2].tools[0]"


@pytest.mark.parametrize(
    ("text", "position", "expected", "hint"),
    [
        ("", (1, 1), "a value", "only in part"),
        ("\n\n  ", (3, 3), "a value", "only in part"),
        ('{"a": 1', (1, 8), '"," or "}"', "comma"),
        ('{"a": 1\n "b": 2}', (2, 2), '"," or "}"', "comma may be missing"),
        ('{"a": 1,\n}', (2, 1), "another entry", "no comma after the last"),
        ("[1, 2,]", (1, 7), "another entry", "no comma after the last"),
        ("{'a': 1}", (1, 2), "a key in double quotes", "double quotes"),
        ("{a: 1}", (1, 2), "a key in double quotes", "needs double quotes"),
        ('{"a" 1}', (1, 6), '":"', ""),
        ('{"a": ollama}', (1, 7), "a value", "needs double quotes"),
        ('{"a": nullx}', (1, 7), "a value", ""),
        ('{// why\n"a": 1}', (1, 2), "a key", "no comments"),
        ('{"a": "x\ny"}', (1, 7), "a string", "same line"),
        (r'{"a": "C:\temp\x"}', (1, 7), "a string", "backslash"),
        ('{"a": 01}', (1, 7), "a value", ""),
        ('{"a": NaN}', (1, 7), "a value", ""),
        ('{"a": 1e999}', (1, 7), "64 bits", ""),
        ('{"a": "\\ud800"}', (1, 7), "whole characters", "ud800"),
        ('{"a": 1} x', (1, 10), "the end of the file", ""),
        ("[" * 10_000, (1, MAX_DEPTH + 2), f"at most {MAX_DEPTH} levels", ""),
    ],
)
def test_a_slip_is_shown_where_it_is_with_what_should_stand_there(
    text: str, position: tuple[int, int], expected: str, hint: str
) -> None:
    with pytest.raises(JsonSyntaxError) as caught:
        read(text)
    assert caught.value.position == position
    assert expected in caught.value.expected
    assert hint in caught.value.hint
