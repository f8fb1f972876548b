from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
import structlog

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.monitoring.collectors.loop_lag import LoopLag
from orchestration.monitoring.monitor import EventListener, Monitor, in_thread


class Desk:
    """A monitor whose batches are kept."""

    def __init__(self, listeners: Sequence[EventListener] = ()) -> None:
        self.clock = FakeClock()
        self.bus = EventBus(self.clock)
        self.batches: list[list[str]] = []
        self.failures = 0
        self.monitor = Monitor(self.bus, self.clock, self.take, listeners, self.count)

    def take(self, signals: Sequence[Signal]) -> None:
        self.batches.append([signal.name for signal in signals])

    def count(self) -> None:
        self.failures += 1

    def signal(self, name: str) -> Signal:
        return Signal(name, self.clock.now())

    def says(self, name: str) -> Callable[[], Iterable[Signal]]:
        return lambda: (self.signal(name),)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            await group.start(self.monitor.run)
            await self.settle()
            yield
            group.cancel_scope.cancel()

    async def settle(self, seconds: float = 0.0) -> None:
        """Move on, and give what came from other threads the time to arrive."""
        await self.clock.advance(seconds)
        for _ in range(20):
            await anyio.wait_all_tasks_blocked()
            await anyio.lowlevel.checkpoint()


async def test_an_event_reaches_the_sink_within_two_tenths_of_a_second_together_with_what_came_beside_it() -> None:
    desk = Desk()
    async with desk.running():
        desk.bus.emit("tool_call.refused", run_id="r", agent="executor", about="path")
        desk.bus.emit("run.cancelled", run_id="r")
        await desk.settle()
        assert desk.batches == []
        await desk.settle(0.2)
        assert desk.batches == [["tool_refused", "run_finished"]]
        await desk.settle(60)
        assert len(desk.batches) == 1


async def test_events_from_other_threads_arrive_too() -> None:
    desk = Desk()
    async with desk.running():
        thread = threading.Thread(target=lambda: desk.bus.emit("backup.made"))
        thread.start()
        await anyio.to_thread.run_sync(thread.join)
        await desk.settle()
        await desk.settle(0.2)
        assert desk.batches == [["backup_age_seconds", "backup_made"]]


async def test_each_loop_keeps_its_own_interval() -> None:
    desk = Desk()

    async def collect(name: str) -> Iterable[Signal]:
        return (desk.signal(name),)

    desk.monitor.every(1.0, "often", lambda: collect("often"))
    desk.monitor.every(lambda: 10.0, "seldom", lambda: collect("seldom"))
    async with desk.running():
        for _ in range(25):
            await desk.settle(0.4)
        names = [name for batch in desk.batches for name in batch]
        assert names.count("often") == 10
        assert names.count("seldom") == 1


async def test_a_loop_that_fails_is_tried_again_stops_nothing_and_grows_old() -> None:
    desk = Desk()

    async def broken() -> Iterable[Signal]:
        raise OSError("no such file")

    async def fine() -> Iterable[Signal]:
        return (desk.signal("fine"),)

    desk.monitor.every(1.0, "broken", broken)
    desk.monitor.every(1.0, "fine", fine)
    with structlog.testing.capture_logs() as log:
        async with desk.running():
            for _ in range(49):
                await desk.settle(0.5)
            signals = await desk.monitor.collect_loop_ages()
    assert [(entry["event"], entry["loop"]) for entry in log] == [("monitoring.look_failed", "broken")]
    assert {signal.labels["loop"]: signal.value for signal in signals} == {"broken": pytest.approx(23.5), "fine": 0.0}
    assert desk.failures == 25
    assert sum(len(batch) for batch in desk.batches) == 25
    assert desk.monitor.healthy()


async def test_a_loop_that_hangs_is_noticed_and_the_dead_man_is_left_to_complain() -> None:
    desk = Desk()
    desk.monitor.every(1.0, "stuck", anyio.sleep_forever)  # type: ignore[arg-type]
    async with desk.running():
        await desk.settle(60)
        assert desk.monitor.healthy()
        await desk.settle(2)
        assert not desk.monitor.healthy()
        (age,) = await desk.monitor.collect_loop_ages()
        assert (age.labels, age.value) == ({"loop": "stuck"}, 61.0)


async def test_a_sink_that_fails_gets_the_next_batch_all_the_same() -> None:
    desk = Desk()
    seen: list[int] = []

    def sink(signals: Sequence[Signal]) -> None:
        seen.append(len(signals))
        raise ValueError("not today")

    desk.monitor = Monitor(desk.bus, desk.clock, sink)
    with structlog.testing.capture_logs() as log:
        await two_batches(desk)
    assert [entry["event"] for entry in log] == ["monitoring.sink_failed"]  # told once, not for every batch
    assert seen == [2, 2]


async def two_batches(desk: Desk) -> None:
    async with desk.running():
        for _ in range(2):
            desk.bus.emit("backup.made")
            await desk.settle()
            await desk.settle(0.2)


async def test_listeners_hear_every_event_and_may_tell_signals() -> None:
    class Echo:
        def on_event(self, event: Event) -> Iterable[Signal]:
            return (Signal(event.kind, event.at),)

    desk = Desk([Echo()])
    async with desk.running():
        desk.bus.emit("agent.progress")
        await desk.settle()
        await desk.settle(0.2)
    assert desk.batches == [["agent.progress"]]


async def test_loops_of_other_rooms_are_watched_by_their_beats() -> None:
    desk = Desk()
    beat = desk.monitor.watch("sender", lambda: 5.0)
    await desk.settle(30)
    assert [signal.value for signal in await desk.monitor.collect_loop_ages()] == [25.0]
    beat()
    assert [signal.value for signal in await desk.monitor.collect_loop_ages()] == [0.0]


async def test_signals_from_before_the_start_are_handed_on_at_the_start() -> None:
    desk = Desk()
    desk.monitor.add([desk.signal("early")])
    async with desk.running():
        await desk.settle(0.2)
    assert desk.batches == [["early"]]


async def test_a_flood_keeps_the_newest_and_does_not_eat_the_memory() -> None:
    desk = Desk()
    desk.monitor.add(desk.signal(f"{number}") for number in range(50_010))
    async with desk.running():
        await desk.settle(0.2)
    (batch,) = desk.batches
    assert (len(batch), batch[0], batch[-1]) == (50_000, "10", "50009")


async def test_an_interval_that_is_changed_counts_from_the_next_look_on() -> None:
    desk = Desk()
    seconds = 10.0

    async def collect() -> Iterable[Signal]:
        return (desk.signal("looked"),)

    desk.monitor.every(lambda: seconds, "changing", collect)
    async with desk.running():
        seconds = 1.0
        await desk.settle(10)
        for _ in range(5):
            await desk.settle(1)
        await desk.settle(0.2)
    assert sum(len(batch) for batch in desk.batches) == 1 + 1 + 5


async def test_nothing_is_heard_after_the_end() -> None:
    desk = Desk()
    async with desk.running():
        pass
    desk.bus.emit("backup.made")
    assert desk.batches == []


async def test_a_look_that_blocks_does_not_hold_up_the_event_loop() -> None:
    main = threading.get_ident()
    (signal,) = await in_thread(lambda: [Signal(str(threading.get_ident()), FakeClock().now())])()
    assert signal.name != str(main)


async def test_the_lag_is_the_worst_since_the_last_look() -> None:
    class LateClock(FakeClock):
        late = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.late

    clock = LateClock()
    lag = LoopLag(clock, "control")
    async with anyio.create_task_group() as group:
        group.start_soon(lag.measure)
        await clock.advance(0.1)
        clock.late = 0.75
        await clock.advance(1.0)
        (worst,) = await lag.collect()
        (after,) = await lag.collect()
        group.cancel_scope.cancel()
    assert (worst.labels, worst.value) == ({"process": "control"}, pytest.approx(0.75))
    assert after.value == 0.0
