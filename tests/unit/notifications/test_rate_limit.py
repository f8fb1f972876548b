from __future__ import annotations

import anyio
import anyio.lowlevel

from orchestration.clock import FakeClock
from orchestration.notifications.rate_limit import SendRate


async def turns(clock: FakeClock, pace: SendRate, count: int, seconds: float) -> list[float]:
    """When each of so many turns was given, within so many seconds."""
    given: list[float] = []

    async def take() -> None:
        for _ in range(count):
            if pace.left:
                await clock.sleep(pace.left)
            pace.take()
            given.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        await anyio.lowlevel.checkpoint()
        await clock.advance(seconds)
        group.cancel_scope.cancel()
    return given


async def test_turns_are_given_no_faster_than_the_rate() -> None:
    clock = FakeClock()
    assert await turns(clock, SendRate(clock, 2), 5, 10) == [0, 0.5, 1.0, 1.5, 2.0]


async def test_without_a_rate_no_message_waits() -> None:
    clock = FakeClock()
    assert await turns(clock, SendRate(clock, None), 5, 10) == [0] * 5


async def test_a_hold_delays_the_next_turn_only() -> None:
    clock = FakeClock()
    pace = SendRate(clock, None)
    pace.hold(3)
    assert await turns(clock, pace, 2, 10) == [3, 3]


async def test_unused_turns_do_not_pile_up() -> None:
    clock = FakeClock()
    pace = SendRate(clock, 1)
    await clock.advance(100)
    assert await turns(clock, pace, 3, 10) == [100, 101, 102]
