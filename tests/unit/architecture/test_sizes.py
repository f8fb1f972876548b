from __future__ import annotations

import statistics

import pytest

from tests.unit.architecture.source import modules

_MEDIAN_LINES = 6
_MOST_LINES = 70
_LONG_LINES = 30
_SHARE_OF_LONG = 0.01
_COMMENTS_IN_100_LINES = 3


@pytest.fixture(scope="module")
def lengths() -> dict[str, int]:
    """The lines of each function, by its module, its name and its first line."""
    return {
        f"{module.name}.{function.name}:{function.lineno}": (function.end_lineno or 0) - function.lineno + 1
        for module in modules().values()
        for function in module.functions
    }


def test_functions_are_short(lengths: dict[str, int]) -> None:
    assert statistics.median(lengths.values()) <= _MEDIAN_LINES


def test_hardly_a_function_is_long(lengths: dict[str, int]) -> None:
    long = sorted((lines, name) for name, lines in lengths.items() if lines > _LONG_LINES)
    assert len(long) <= _SHARE_OF_LONG * len(lengths), long


def test_no_function_is_very_long(lengths: dict[str, int]) -> None:
    assert {name: lines for name, lines in lengths.items() if lines > _MOST_LINES} == {}


def test_comments_give_the_reasons() -> None:
    lines = sum(len(module.text.splitlines()) for module in modules().values())
    assert 100 * sum(module.comments for module in modules().values()) / lines >= _COMMENTS_IN_100_LINES
