from __future__ import annotations

import threading

import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.monitoring.collectors.calls import CallWatch


def call(clock: FakeClock, seconds: float, outcome: str = "ok", model: str = "m") -> Signal:
    labels = {"provider": "ollama", "model": model, "outcome": outcome}
    return Signal("model_call", clock.now(), seconds, labels)


async def usual(watch: CallWatch, clock: FakeClock, count: int = 30) -> None:
    """Calls of a second, then ten minutes of nothing."""
    watch.record([call(clock, 1.0) for _ in range(count)])
    await clock.advance(600)


async def ratios(watch: CallWatch) -> dict[str, float]:
    return {signal.name: signal.value for signal in await watch.collect()}


async def test_a_route_that_becomes_slow_shows_against_its_own_past() -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    await usual(watch, clock)
    assert await watch.collect() == ()
    watch.record([call(clock, 4.0) for _ in range(5)])
    slow, failing = await watch.collect()
    assert (slow.name, slow.value, slow.labels) == ("latency_ratio", 4.0, {"provider": "ollama", "model": "m"})
    assert (failing.name, failing.value) == ("error_rate_ratio", 1.0)
    await clock.advance(600)
    assert await watch.collect() == ()


async def test_failures_raise_the_error_rate_and_leave_the_latency_alone() -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    await usual(watch, clock)
    watch.record([call(clock, 1.0) for _ in range(5)])
    watch.record([call(clock, 120.0, "timeout") for _ in range(5)])
    assert await ratios(watch) == {"latency_ratio": 1.0, "error_rate_ratio": 25.0}


@pytest.mark.parametrize("outcome", ["bad_request", "content_filter", "cancelled", ""])
async def test_what_the_request_is_at_fault_for_does_not_count(outcome: str) -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    await usual(watch, clock)
    watch.record([call(clock, 1.0, outcome) for _ in range(50)])
    assert await watch.collect() == ()


async def test_each_route_has_a_baseline_of_its_own_and_other_signals_are_passed_over() -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    await usual(watch, clock)
    watch.record([call(clock, 4.0, model="other") for _ in range(9)])
    watch.record([Signal("cpu_percent", clock.now(), 99.0, {"host": "a"})])
    assert await watch.collect() == ()


async def test_it_may_be_fed_from_several_threads() -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    await usual(watch, clock)
    threads = [threading.Thread(target=lambda: watch.record([call(clock, 2.0)] * 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (await ratios(watch))["latency_ratio"] == 2.0


async def test_made_up_routes_do_not_eat_the_memory() -> None:
    clock = FakeClock()
    watch = CallWatch(clock)
    watch.record([call(clock, 1.0, model=f"model-{number}") for number in range(1000)])
    assert len(watch._routes) == 200
