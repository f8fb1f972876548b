from __future__ import annotations

from datetime import timedelta

import anyio
import anyio.lowlevel

from orchestration.clock import FakeClock, SystemClock


async def test_sleepers_wake_in_order_each_at_its_own_moment() -> None:
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with anyio.create_task_group() as group:
        for name, seconds in (("late", 5.0), ("early", 1.0), ("middle", 3.0)):
            group.start_soon(sleeper, name, seconds)
        await anyio.lowlevel.checkpoint()
        await clock.advance(10)

    assert woken == [("early", 1.0), ("middle", 3.0), ("late", 5.0)]


async def test_a_sleeper_that_sleeps_again_wakes_within_the_same_advance() -> None:
    clock = FakeClock()
    ticks: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(2)
            ticks.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        await anyio.lowlevel.checkpoint()
        await clock.advance(7)
        group.cancel_scope.cancel()

    assert ticks == [2, 4, 6]


async def test_the_time_of_day_moves_with_the_clock() -> None:
    clock = FakeClock()
    before = clock.now()
    await clock.advance(90)
    assert clock.now() - before == timedelta(seconds=90)


def test_the_system_clock_tells_time_with_a_zone() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)
