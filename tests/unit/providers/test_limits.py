from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import backoff
from orchestration.providers.token_bucket import TokenBucket, headroom


@given(st.floats(min_value=1, max_value=10_000), st.lists(st.floats(min_value=0, max_value=20), max_size=60))
def test_in_the_long_run_no_more_is_taken_than_the_rate_allows(rate: float, gaps: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate), 0.0, 0
    for gap in gaps:
        now += gap
        if bucket.wait(now) == 0:
            bucket.take(1, now)
            taken += 1
    assert taken <= rate + now * rate / 60 + 1e-3


amounts = st.floats(min_value=0, max_value=1e6)


@given(st.floats(min_value=1, max_value=1e6), amounts, st.floats(min_value=0, max_value=1e9))
def test_after_the_wait_that_it_names_something_may_be_taken(rate: float, units: float, now: float) -> None:
    bucket = TokenBucket(rate)
    bucket.take(units, now)
    wait = bucket.wait(now)
    assert bucket.wait(now + wait + 0.01) == 0


def test_what_was_taken_beyond_the_rest_is_waited_for() -> None:
    bucket = TokenBucket(60)
    bucket.take(90, 0)
    assert bucket.wait(0) == pytest.approx(31, abs=0.01)
    assert bucket.wait(30) == pytest.approx(1, abs=0.01)
    assert bucket.wait(31) == 0


def test_a_minute_of_rest_saves_no_more_than_a_minute() -> None:
    bucket = TokenBucket(60)
    bucket.take(60, 0)
    bucket.take(60, 10_000)
    assert bucket.wait(10_000) > 0


def test_another_rate_holds_from_now_on() -> None:
    bucket = TokenBucket(60)
    bucket.resize(6, 0)
    bucket.take(6, 0)
    assert bucket.wait(0) == pytest.approx(10, abs=0.01)
    bucket.resize(600, 0)
    assert bucket.wait(0) == pytest.approx(0.1, abs=0.01)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = TokenBucket(60)
    bucket.take(60, 100)
    assert bucket.wait(50) > 0
    assert bucket.wait(102) == 0


def test_headroom_keeps_what_is_known() -> None:
    headers = {
        "x-ratelimit-remaining-tokens": "900",
        "x-ratelimit-remaining-requests": "-1",
        "x-ratelimit-reset-tokens": "6m0s",
        "x-ratelimit-limit-tokens": "inf",
        "content-length": "3",
    }
    assert headroom(headers) == {"remaining-tokens": 900.0}


@given(st.integers(min_value=0, max_value=10_000), st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_backoff_is_never_negative_and_never_beyond_its_limit(attempt: int, random: float) -> None:
    assert 0 <= backoff.delay(attempt, random) <= 30


def test_a_backoff_doubles_and_jitters_over_its_whole_length() -> None:
    assert [backoff.delay(attempt, 0.999999) for attempt in range(8)] == pytest.approx(
        [0.5, 1, 2, 4, 8, 16, 30, 30], rel=1e-5
    )
    assert backoff.delay(5, 0.0) == 0
    assert backoff.delay(3, 0.5, first=0.1, at_most=0.6) == pytest.approx(0.3)
