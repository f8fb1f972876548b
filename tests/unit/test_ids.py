from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.ids import ALPHABET, new_id


@given(st.floats(0, 3e10), st.floats(0, 3e10))
def test_later_identifiers_sort_later(first: float, second: float) -> None:
    earlier, later = sorted((int(first * 1000), int(second * 1000)))
    one, other = (new_id("run", moment / 1000 + 0.0001, random_bits=0) for moment in (earlier, later))
    assert one <= other


@given(st.integers(0, 2**25 - 1))
def test_an_identifier_is_safe_in_file_names_and_has_a_fixed_length(bits: int) -> None:
    name = new_id("run", 1_790_000_000.5, random_bits=bits)
    assert len(name) == len("run-") + 14
    assert set(name.removeprefix("run-")) <= set(ALPHABET)


def test_two_identifiers_of_the_same_moment_differ() -> None:
    assert len({new_id("run", 1.0) for _ in range(100)}) > 95
