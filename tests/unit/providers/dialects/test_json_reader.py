from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.json_reader import NotJsonError, find_json, read_json
from tests.support.patience import Stopwatch

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
CONTAINERS = st.lists(VALUES, max_size=3) | st.dictionaries(st.text(max_size=4), VALUES, max_size=3)


@given(CONTAINERS, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_json(value: Any, indent: int | None, fenced: bool) -> None:
    text = json.dumps(value, indent=indent)
    assert read_json(f"```json\n{text}\n```" if fenced else f"\n{text} ") == value


@given(CONTAINERS)
def test_what_python_prints_is_read_as_python_means_it(value: Any) -> None:
    text = repr(value)
    if "\\x" not in text and "\\U" not in text:
        assert read_json(text) == value


@given(st.dictionaries(st.text(min_size=1, max_size=4), VALUES, min_size=1, max_size=3), st.data())
def test_an_object_that_was_cut_off_is_not_read(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    part = text[: data.draw(st.integers(1, len(text) - 1))]
    with pytest.raises(NotJsonError):
        read_json(part)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, // one\n "b": [2, 3,],}', {"a": 1, "b": [2, 3]}),
        ("{'a': True, 'b': None}", {"a": True, "b": None}),
        (r"{a: '\ud83d\ude00'}", {"a": "\U0001f600"}),
        ('{"a": "one\ntwo\ttab"}', {"a": "one\ntwo\ttab"}),
        ('{\u201ca\u201d: \u201cit\u2019s "b"\u201d}', {"a": 'it\u2019s "b"'}),
        ('{verdict: "no", line: 3}', {"verdict": "no", "line": 3}),
        (r'{"pattern": "\d+\.py", "x": 1,}', {"pattern": r"\d+\.py", "x": 1}),
    ],
)
def test_deviations_of_one_meaning_are_read(text: str, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": "say "b" twice"}', "{'a': 'it's'}", "{a: b}", '{"a": 1} {"b": 2}']
)
def test_what_could_mean_two_things_is_not_read(text: str) -> None:
    with pytest.raises(NotJsonError):
        read_json(text)


@given(st.text(alphabet="{}[]\"':,/*# \n\\aT1\u201c\u201d", max_size=120))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(NotJsonError):
        json.dumps(read_json(text))
    last = 0
    for found in find_json(text):
        assert last <= found.start < found.end <= len(text)
        last = found.end


@pytest.mark.parametrize("text", ["{'a':" * 100_000, '{"a": "' * 50_000, "[" * 200_000, "{'a': '" + "\\'" * 100_000])
def test_damaged_text_takes_no_time(text: str) -> None:
    started = Stopwatch()
    assert [found for found in find_json(text) if found.value] == []
    assert started.is_within(10), started
