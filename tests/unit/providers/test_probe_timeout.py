"""How long silence may last before it means something."""

from __future__ import annotations

import time

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.probe_timeout import ProbeTimeout, sleep_while_running


def taught(*answers: float) -> ProbeTimeout:
    patience = ProbeTimeout()
    for seconds in answers:
        patience.record_answer(seconds)
    return patience


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [((), 3.0), ((0.002,), 1.0), ((0.4, 0.002), 1.6), ((0.002, *[0.3] * 19), 1.2), ((60.0,), 5.0)],
)
def test_a_quick_provider_is_given_a_second_a_slow_or_unknown_one_more(
    answers: tuple[float, ...], seconds: float
) -> None:
    assert taught(*answers).seconds == pytest.approx(seconds)


def test_one_slow_answer_is_forgotten_after_twenty_quick_ones() -> None:
    assert taught(1.0, *[0.01] * 19).seconds == 4.0
    assert taught(1.0, *[0.01] * 20).seconds == 1.0


def test_after_each_silence_it_is_given_twice_as_long_until_it_answers() -> None:
    patience = taught(0.01)
    waits = []
    for _ in range(5):
        waits.append(patience.seconds)
        patience.record_silence()
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]
    patience.record_answer(0.01)
    assert patience.seconds == 1.0


def test_one_that_works_on_one_thing_at_a_time_is_never_hurried() -> None:
    patience = taught(0.01)
    patience.use_longest()
    assert patience.seconds == 5.0


@given(st.lists(st.one_of(st.none(), st.floats(min_value=0, max_value=1e4))))
def test_it_never_waits_less_than_a_second_nor_more_than_five(answers: list[float | None]) -> None:
    patience = ProbeTimeout()
    for seconds in answers:
        if seconds is None:
            patience.record_silence()
        else:
            patience.record_answer(seconds)
        assert 1.0 <= patience.seconds <= 5.0


async def test_what_our_own_process_sleeps_through_is_not_counted() -> None:
    """The process is held up for a second; of the patience of 0.5 s most must be left after that."""
    held_up = 1.0
    begun = time.monotonic()

    async def hold_up() -> None:
        await anyio.sleep(0.1)
        time.sleep(held_up)  # noqa: ASYNC251 (that is the point)

    async with anyio.create_task_group() as group:
        group.start_soon(hold_up)
        await sleep_while_running(0.5)
    assert time.monotonic() - begun >= held_up + 0.4
