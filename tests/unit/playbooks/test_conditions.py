"""Conditions say what they mean, and what is wrong with them is told before they are used."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.playbooks import conditions


@pytest.mark.parametrize(
    ("condition", "facts", "expected"),
    [
        ({}, {}, True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": [1, 2]}, {"a": 2}, True),
        ({"a": [1, 2]}, {"a": 3}, False),
        ({"a": {"above": 3}}, {"a": 4}, True),
        ({"a": {"above": 3}}, {"a": 3}, False),
        ({"a": {"above": 3}}, {"a": "many"}, False),
        ({"a": {"above": 3}}, {"a": None}, False),
        ({"a": {"above": 0}}, {"a": True}, False),
        ({"a": {"at_least": 3, "below": 5}}, {"a": 3}, True),
        ({"a": {"at_most": 3}}, {"a": 3}, True),
        ({"a": {"contains": "x"}}, {"a": ["x", "y"]}, True),
        ({"a": {"contains": "x"}}, {"a": 7}, False),
        ({"a": {"empty": True}}, {"a": []}, True),
        ({"a": {"empty": True}}, {"a": ["x"]}, False),
        ({"a": {"empty": True}}, {}, False),
        ({"a": {"is_not": True}}, {"a": False}, True),
        ({"a": {"is_not": True}}, {}, False),
        ({"a": {"known": False}}, {}, True),
        ({"a": {"known": False}}, {"a": None}, True),
        ({"a": {"known": True}}, {"a": 0}, True),
        ({"any": [{"a": 1}, {"b": 1}]}, {"b": 1}, True),
        ({"any": [{"a": 1}, {"b": 1}]}, {"b": 2}, False),
        ({"all": [{"a": 1}, {"b": 1}]}, {"a": 1, "b": 1}, True),
        ({"not": {"a": 1}}, {"a": 2}, True),
        ({"not": {"a": 1}}, {"a": 1}, False),
    ],
)
def test_a_condition_holds_or_does_not(condition: dict[str, Any], facts: dict[str, Any], expected: bool) -> None:
    assert conditions.holds(condition, facts) is expected


@pytest.mark.parametrize(
    ("condition", "place", "words"),
    [
        ({"a": {"abvoe": 3}}, "a", "got 'abvoe'"),
        ({"a": {"above": "three"}}, "a", "expected a number"),
        ({"a": {"empty": "yes"}}, "a", "expected true or false"),
        ({"any": {"a": 1}}, "any", "expected a list"),
        ({"any": []}, "any", "expected a list"),
        ({"any": [{"a": {"abvoe": 3}}]}, "any.0.a", "got 'abvoe'"),
        ({"not": 3}, "not", "expected a mapping"),
    ],
)
def test_a_wrong_condition_is_told_with_its_place(condition: dict[str, Any], place: str, words: str) -> None:
    [(where, problem)] = conditions.problems(condition)
    assert where == place
    assert words in problem


_names = st.sampled_from(["a", "b", "c"])
_values = st.one_of(st.integers(-3, 3), st.booleans(), st.none(), st.sampled_from(["x", "y"]), st.lists(st.just("x")))
_tests = st.one_of(
    _values.filter(lambda value: value is not None),
    st.fixed_dictionaries({"above": st.integers(-3, 3)}),
    st.fixed_dictionaries({"contains": st.just("x")}),
    st.fixed_dictionaries({"empty": st.booleans()}),
    st.fixed_dictionaries({"known": st.booleans()}),
)
_conditions = st.recursive(
    st.dictionaries(_names, _tests, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=6,
)


@given(_conditions, st.dictionaries(_names, _values))
def test_a_right_condition_is_judged_and_put_into_words_whatever_the_facts(
    condition: dict[str, Any], facts: dict[str, Any]
) -> None:
    assert not list(conditions.problems(condition))
    assert conditions.holds({"not": condition}, facts) is not conditions.holds(condition, facts)
    assert conditions.in_words(condition)
    assert set(conditions.names(condition)) <= {"a", "b", "c"}


def test_a_condition_reads_as_a_phrase() -> None:
    condition = {"a": {"at_least": 3}, "any": [{"b": True}, {"not": {"c": ["x", "y"]}}], "d": {"empty": False}}
    assert conditions.in_words(condition) == (
        "a is at least 3 and (b is yes or not (c is one of x, y)) and d is not empty"
    )
