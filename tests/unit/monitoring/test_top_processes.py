"""How often the processes are listed: on a busy machine with many of them, looking must not make it busier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orchestration.clock import Clock, FakeClock
from orchestration.monitoring.collectors.processes import ProcessUse, TopProcesses

pytestmark = pytest.mark.anyio


class Machine:
    """Each look takes so many seconds of processor time, and finds another process."""

    def __init__(self, cost: float) -> None:
        self.used = 0.0
        self.looks = 0
        self._cost = cost

    def look(self, _count: int, redact: Callable[[str], str], _clock: Clock) -> tuple[ProcessUse, ...]:
        self.looks += 1
        self.used += self._cost
        return (ProcessUse(self.looks, redact("burn"), 99.0, 1, ours=False),)


async def looked(cost: float, seconds: int) -> tuple[Machine, list[Any]]:
    machine, clock = Machine(cost), FakeClock()
    top = TopProcesses(5, str.upper, clock, machine.look, lambda: machine.used)
    found = []
    for _ in range(seconds):
        found.append(top.read())
        await clock.advance(1.0)
    return machine, found


@pytest.mark.parametrize("cost", [0.0, 0.01, 0.02, 0.1, 0.5, 3.0])
async def test_listing_costs_a_fiftieth_of_a_processor_at_most(cost: float) -> None:
    machine, found = await looked(cost, 600)
    # The first look costs what it costs.
    assert machine.used - cost <= 600 / 50
    assert all(one[0].command == "BURN" for one in found), "in between the last list stands"


async def test_what_costs_little_is_always_new() -> None:
    machine, found = await looked(0.01, 60)
    assert machine.looks == 60
    assert found[-1][0].pid == 60
