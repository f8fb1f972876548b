"""Label matchers: Alertmanager's syntax, RE2's expressions, in linear time whatever the pattern."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.matchers import parse_matcher
from orchestration.errors import UsageError

# Expressions that both dialects read in the same way.
_ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\.", "(ab)", "(?:a|b)", r"\bx?"])
_EXPRESSIONS = st.lists(st.tuples(_ATOMS, st.sampled_from(["", "*", "+", "?", "{1,3}"])), max_size=4).map(
    lambda parts: "".join(atom + ("" if "?" in atom[-1:] or atom.startswith(r"\b") else times) for atom, times in parts)
)


@given(_EXPRESSIONS, st.text("ab.1\n", max_size=8))
def test_an_expression_has_to_match_the_whole_value(expression: str, value: str) -> None:
    expected = re.fullmatch(expression, value, re.DOTALL) is not None
    assert parse_matcher(f'host=~"{_quoted(expression)}"').fits({"host": value}) is expected
    assert parse_matcher(f'host!~"{_quoted(expression)}"').fits({"host": value}) is not expected


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)*c", "(.*)(.*)(.*)(.*)(.*)x", "(a?){40}a{40}b", "([a-z]+)*1"])
def test_no_pattern_keeps_the_process_busy(pattern: str) -> None:
    assert parse_matcher(f'host=~"{pattern}"').fits({"host": "a" * 100_000}) is False


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?<!a)b", "(", "a{2,1}", "[z-a]", "(?P<n>a)(?P=n)", "a{9999}", "*"])
def test_what_re2_does_not_know_is_refused_with_its_reason(pattern: str) -> None:
    with pytest.raises(UsageError, match="expected a regular expression of RE2 after host=~, got"):
        parse_matcher(f'host=~"{pattern}"')


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ("severity=critical", {"severity": "critical"}, True),
        ("severity = critical", {"severity": "critical"}, True),
        ('team=""', {}, True),
        ('team!=""', {}, False),
        ('team!="a"', {}, True),
        ('job=~"node|db"', {"job": "db"}, True),
        ('job=~"node|db"', {"job": "dbx"}, False),
        ("job=~.+", {}, False),
        ("job!~.+", {}, True),
        ('path="C:\\\\temp"', {"path": "C:\\temp"}, True),
        ('said="a \\"b\\""', {"said": 'a "b"'}, True),
        ("name=~(?i)WEB.*", {"name": "web-1"}, True),
        ("name=~x", {"name": "x\ud800"}, False),
        ("name=~.*", {"name": "über\nzwei"}, True),
    ],
)
def test_matchers_are_read_as_alertmanager_reads_them(text: str, labels: dict[str, str], fits: bool) -> None:
    assert parse_matcher(text).fits(labels) is fits


@pytest.mark.parametrize("text", ["", "severity", "=a", "1a=b", "x" * 600 + "=1"])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a matcher"):
        parse_matcher(text)
