"""What several processes have learned of a route comes to the same, in whatever order they exchange it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.dialect import AnswerForm, Dialect, ToolForm
from orchestration.providers.dialects.learned import LIFETIME_SECONDS, LearnedDialect

NOW = 1_000_000.0
TIMES = st.sampled_from([0.0, NOW - LIFETIME_SECONDS - 1, NOW - LIFETIME_SECONDS + 1, NOW - 10, NOW, NOW + 9000])
SIZES = st.none() | st.integers(1000, 10_000)
DIALECTS = st.builds(
    Dialect,
    tools=st.sampled_from(ToolForm),
    answer=st.sampled_from(AnswerForm),
    merged_roles=st.booleans(),
    system_role=st.booleans(),
    plain_ids=st.booleans(),
    left_out=st.frozensets(st.sampled_from(["temperature", "top_p"])),
    completion_tokens=st.booleans(),
)
LEARNED = st.builds(
    LearnedDialect, DIALECTS, window=SIZES, learned_at=TIMES, listed=SIZES, listed_at=TIMES, forgotten_at=TIMES
)


@given(LEARNED, LEARNED, LEARNED)
def test_the_order_of_an_exchange_does_not_matter(one: Any, two: Any, three: Any) -> None:
    assert one.merged(two, NOW) == two.merged(one, NOW)
    # What is learned in the very second in which somebody forgets the rest may keep it: facts have one time together.
    first, second, third = (replace(each, forgotten_at=one.forgotten_at) for each in (one, two, three))
    assert first.merged(second, NOW).merged(third, NOW) == first.merged(second.merged(third, NOW), NOW)
    agreed = one.merged(two, NOW)
    assert agreed.merged(agreed, NOW) == agreed
    assert agreed.merged(one, NOW) == agreed


@given(LEARNED)
def test_it_is_stored_as_json_and_comes_back(learned: Any) -> None:
    stored = json.loads(json.dumps(learned.as_json()))
    assert LearnedDialect.from_json({**stored, "of a later release": 1, "address": "x"}) == learned


@given(LEARNED)
def test_what_has_expired_was_forgotten_or_is_of_the_future_does_not_count(learned: Any) -> None:
    kept = learned.current(NOW)
    counts = learned.forgotten_at < learned.learned_at and NOW - LIFETIME_SECONDS < learned.learned_at <= NOW
    assert (kept.dialect, kept.window) == ((learned.dialect, learned.window) if counts else (Dialect(), None))
    assert kept.current(NOW) == kept
    assert learned.current(NOW + 3 * LIFETIME_SECONDS).is_empty
    assert bool(tuple(kept.facts())) == (kept.known_window is not None or kept.dialect != Dialect())


@pytest.mark.parametrize("stored", [{"window": "8"}, {"listed": True}, {"dialect": 7}, {"dialect": {"tools": "x"}}])
def test_anything_else_is_refused(stored: Any) -> None:
    with pytest.raises(ValueError, match="not"):
        LearnedDialect.from_json(stored)


def test_what_a_list_repeats_is_written_now_and_then_only() -> None:
    first = LearnedDialect().with_listed(4096, NOW)
    assert first.with_listed(4096, NOW + 60) is first
    assert first.with_listed(None, NOW + 60) is first
    assert first.with_listed(8192, NOW + 60).listed_at == NOW + 60
    assert first.with_listed(4096, NOW + LIFETIME_SECONDS - 60).listed_at == NOW + LIFETIME_SECONDS - 60
