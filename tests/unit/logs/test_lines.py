from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.logs.lines import LONGEST_VALUE, json_line, text_line, timestamp

HEAD = {"at": "2026-11-24T13:45:01.123Z", "level": "ERROR", "logger": "x", "event": "model_call.failed"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_a_line_begins_with_time_level_and_event_and_ends_with_the_message() -> None:
    entry = {**HEAD, "message": "no answer", "tokens": 12, "provider": "ollama", "agent": "executor", "run": "run-1"}
    assert text_line(entry) == (
        "2026-11-24T13:45:01.123Z ERROR model_call.failed "
        'run=run-1 agent=executor provider=ollama tokens=12 message="no answer"'
    )


def test_an_exception_stays_on_its_line() -> None:
    assert text_line({**HEAD, "exception": 'File "a"\nValueError: b'}).endswith(
        r'exception="File \"a\"\nValueError: b"'
    )


def test_whoever_searches_for_errors_finds_what_is_worse_too() -> None:
    entry = {**HEAD, "level": "CRITICAL"}
    assert " ERROR " in text_line(entry)
    assert json.loads(json_line(entry))["level"] == "CRITICAL"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ("run-1/plan.md", "run-1/plan.md"),
        ("größer", '"größer"'),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a"], '"[1, \\"a\\"]"'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("a\u2028b\x85c\u202ed", '"a\\u2028b\\u0085c\\u202ed"'),
        ("\ud800", '"\\ud800"'),
    ],
)
def test_values_are_bare_where_that_is_clear_and_quoted_else(value: Any, shown: str) -> None:
    assert text_line({**HEAD, "x": value}) == f"{HEAD['at']} ERROR model_call.failed x={shown}"


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_whatever_is_logged_is_one_line_that_can_be_written_and_read_again(fields: dict[str, Any]) -> None:
    entry = {**fields, **HEAD}
    for line in (text_line(entry), json_line(entry)):
        assert len(line.splitlines()) == 1
        line.encode()
    assert json.loads(json_line(entry))["event"] == HEAD["event"]


def test_a_long_text_is_cut_and_says_so() -> None:
    entry = {**HEAD, "x": ["a" * (LONGEST_VALUE + 7)]}
    for line in (text_line(entry), json_line(entry)):
        assert "a… (7 more characters)" in line
        assert len(line) < LONGEST_VALUE + 300


def test_times_are_utc_to_the_millisecond() -> None:
    vienna = timezone(timedelta(hours=1))
    assert timestamp(datetime(2026, 11, 24, 14, 45, 1, 123_987, vienna)) == "2026-11-24T13:45:01.123Z"
    assert timestamp(datetime(2026, 11, 24, tzinfo=UTC)) == "2026-11-24T00:00:00.000Z"
