"""The scale: how far what is read from it is from the values themselves, and that counts on it add up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.storage.distributions import RELATIVE_ERROR, ExactValues, from_bytes, pack, to_bytes, unpack

CENTURY = 100 * 365.25 * 86_400
SECONDS = st.floats(0, CENTURY) | st.floats(0, 0.1) | st.integers(0, 100_000).map(float)
COLUMN = st.lists(SECONDS, max_size=30)
ROUNDING = 1e-9


def is_near(read: float, true: float) -> bool:
    return abs(read - true) <= max(0.005, RELATIVE_ERROR * true) * (1 + ROUNDING)


def test_values_are_kept_as_they_are_and_ranked() -> None:
    values = ExactValues([3.0, 1.0, 2.5])
    assert (values.n, values.total, [values.at(rank) for rank in range(3)]) == (3, 6.5, [1.0, 2.5, 3.0])


@given(st.lists(SECONDS, min_size=1, max_size=50))
def test_a_sketch_is_within_its_error_at_every_rank(values: list[float]) -> None:
    (sketch,) = unpack(pack([values]), [math.fsum(values)])
    assert (sketch.n, sketch.total) == (len(values), math.fsum(values))
    assert all(is_near(sketch.at(rank), true) for rank, true in enumerate(sorted(values)))


@given(COLUMN, COLUMN, COLUMN, COLUMN)
def test_packed_numbers_are_merged_by_adding_them(
    first: list[float], second: list[float], more: list[float], others: list[float]
) -> None:
    assert pack([first, second]) + pack([more, others]) == pack([first + more, second + others])


@given(COLUMN, COLUMN)
def test_columns_do_not_touch_each_other(first: list[float], second: list[float]) -> None:
    one, other = unpack(pack([first, second]), [0.0, 0.0])
    assert (one.n, other.n) == (len(first), len(second))
    assert all(is_near(other.at(rank), true) for rank, true in enumerate(sorted(second)))


@given(COLUMN)
def test_a_packed_number_comes_back_as_it_was_kept(values: list[float]) -> None:
    assert from_bytes(to_bytes(pack([values]))) == pack([values])


def test_whatever_is_longer_than_a_century_counts_as_one() -> None:
    (sketch,) = unpack(pack([[1.0, 1e12]]), [0.0])
    assert sketch.n == 2
    assert sketch.at(1) == pytest.approx(CENTURY, rel=0.03)


def test_nothing_is_nothing() -> None:
    assert (pack([[], []]), to_bytes(0), from_bytes(b"")) == (0, b"", 0)
    assert [each.n for each in unpack(0, [0.0, 0.0])] == [0, 0]
