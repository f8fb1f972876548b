"""Matchers, texts, fingerprints, and silences that would mute everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.fingerprint import fingerprint, group_key
from orchestration.alerts.silences import parse_silences, validate_matchers
from orchestration.alerts.text_templates import fill, number
from orchestration.config.matchers import parse_matcher
from orchestration.errors import UsageError
from orchestration.storage.silences import SilenceKind, SilenceRow
from tests.unit.alerts.samples import at

LABELS = {"agent": "planner", "host": "web-1"}


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("agent=planner", True),
        ('agent="planner"', True),
        ("agent=plan", False),
        ("agent!=planner", False),
        ("agent != reviewer", True),
        ("host=~web-[0-9]", True),
        ("host=~web", False),
        ('host!~"db.*|x"', True),
        ("nothing=", True),
        ('nothing!=""', False),
        ("nothing!~x", True),
    ],
)
def test_a_matcher_is_read_and_compared_as_alertmanager_does(text: str, fits: bool) -> None:
    assert parse_matcher(text).fits(LABELS) is fits


@pytest.mark.parametrize("text", ["", "agent", "=x", "1a=b", "a=~(", "a=~*", "a=" + "x" * 600])
def test_what_is_no_matcher_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected a (matcher|regular expression)"):
        parse_matcher(text)


@given(st.text(max_size=50), st.sampled_from(["=", "!="]))
def test_a_matcher_that_is_written_out_reads_back_the_same(value: str, operator: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')
    matcher = parse_matcher(f'name{operator}"{quoted}"')
    assert matcher.value == value
    assert parse_matcher(str(matcher)) == matcher


@pytest.mark.parametrize("texts", [[], ["a=~.*"], ["a!=b", "c="]])
def test_a_silence_that_would_mute_everything_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match="mute everything"):
        validate_matchers(texts)


def test_a_kept_silence_that_cannot_be_read_mutes_nothing() -> None:
    rows = [
        SilenceRow(str(number), SilenceKind.SILENCE, matchers, at(0), at(9), "ada", "", at(0))
        for number, matchers in enumerate((["a=~("], ["a=b"], []))
    ]
    assert [one.id for one in parse_silences(rows) if one.covers({"a": "b"}, at(1))] == ["1"]


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=5))
def test_a_fingerprint_does_not_depend_on_the_order_of_labels(labels: dict[str, str]) -> None:
    backwards = dict(reversed(labels.items()))
    assert fingerprint("a", labels) == fingerprint("a", backwards)
    assert len(fingerprint("a", labels)) == 16
    assert fingerprint("a", labels) != fingerprint("a", {**labels, "one more": "x"})


def test_a_fingerprint_tells_names_from_values() -> None:
    assert fingerprint("a", {"bc": "d"}) != fingerprint("a", {"b": "cd"})
    assert fingerprint("ab", {}) != fingerprint("a", {"b": ""})


@given(st.text(max_size=400), st.text(max_size=400), st.booleans())
def test_a_group_key_fits_its_column_and_tells_subjects_apart(first: str, second: str, drill: bool) -> None:
    keys = [group_key("agent-failure", subject, drill=drill) for subject in (first, second)]
    assert max(map(len, keys)) <= 255
    assert (keys[0] == keys[1]) is ((first or "all") == (second or "all"))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{agent} on {host}", "planner on web-1"),
        ("{nothing} happened: {nothing}", "happened"),
        ("{agent.__class__} {host!r:>10}", "web-1"),
        ("{agent", "{agent"),
        ("{{literal}}", "{literal}"),
    ],
)
def test_texts_know_names_only(template: str, text: str) -> None:
    assert fill(template, LABELS) == text


@given(st.text(max_size=60))
def test_no_template_breaks(template: str) -> None:
    assert len(fill(template, LABELS)) <= 1000


def test_numbers_are_for_people() -> None:
    assert [number(value) for value in (3.0, 12.34, 1234.5)] == ["3", "12.3", "1234"]
    assert number(0.5, share=True) == "50 %"
