from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.web.request_rate import RequestRate


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 20), st.floats(0.1, 5))
def test_a_client_makes_no_more_requests_than_it_may_and_waits_no_longer_than_told(
    gaps: list[float], burst: int, rate: float
) -> None:
    limit, now, allowed = RequestRate(burst, rate), 0.0, 0
    for gap in gaps:
        now += gap
        wait = limit.wait("a", now)
        if not wait:
            allowed += 1
        assert allowed <= burst + now * rate + 1e-6
        if wait:
            now += wait + 1e-6
            assert limit.wait("a", now) == 0
            allowed += 1


def test_one_client_does_not_slow_another_and_memory_is_bounded() -> None:
    limit = RequestRate(1, 0.001)
    assert limit.wait("a", 0) == 0
    assert limit.wait("a", 0) > 0
    assert limit.wait("b", 0) == 0
    for number in range(20_000):
        limit.wait(str(number), 1)
    assert len(limit._buckets) == 10_000
