from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st

from orchestration.clock import FakeClock, SystemClock

HOUR, DAY = 3600.0, 86_400.0


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.offset = 1_800_000_000.0

    def start(self) -> SystemClock:
        return SystemClock(lambda: self.offset + self.passed, lambda: self.passed)

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.offset + self.passed, UTC)


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


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 2 * HOUR)),
        st.tuples(st.just("set"), st.floats(-3 * HOUR, 3 * HOUR)),
        st.tuples(st.just("restart"), st.just(0.0)),
    ),
    max_size=30,
)


@given(steps)
def test_whatever_is_done_to_the_clock_time_goes_on_at_nine_tenths_at_least(given: list[tuple[str, float]]) -> None:
    machine = Machine()
    clock = machine.start()
    last = clock.now()
    for step, seconds in given:
        before = machine.passed
        match step:
            case "pass":
                machine.passed += seconds
            case "set":
                machine.offset += seconds
            case "restart":
                clock = machine.start()
                clock.advance_to(last)
        now = clock.now()
        if (last - machine.time).total_seconds() < DAY:
            assert (now - last).total_seconds() >= 0.9 * (machine.passed - before) - 1e-3
            assert now >= machine.time - timedelta(milliseconds=1)
        last = now
    # It meets the machine's clock in the end.
    machine.passed += 11 * DAY
    assert abs((clock.now() - machine.time).total_seconds()) < 1e-3


def test_a_time_that_is_out_of_the_question_is_given_up() -> None:
    machine = Machine()
    clock = machine.start()
    clock.advance_to(machine.time + timedelta(days=2))
    assert clock.now() == machine.time
    clock.advance_to(machine.time + timedelta(hours=23))
    assert clock.now() == machine.time + timedelta(hours=23)
    assert clock.wall() == machine.time
    machine.offset -= 365 * DAY
    assert clock.now() == machine.time


def test_without_a_step_the_time_is_the_machines() -> None:
    machine = Machine()
    clock = machine.start()
    for _ in range(100):
        machine.passed += 0.37
        machine.offset -= 0.0001  # as NTP slows a clock down that is too fast
        assert abs((clock.now() - machine.time).total_seconds()) < 1e-5
