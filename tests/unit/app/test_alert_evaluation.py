"""How often alerts are evaluated: after a burst of work half of the time is others', after a wait it is not."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any, cast

import anyio
import pytest

from orchestration.alerts.engine import AlertEngine, Evaluation
from orchestration.app.alert_evaluation import AlertEvaluation
from orchestration.clock import FakeClock

pytestmark = pytest.mark.anyio
_SECONDS = 0.4


class PatientClock(FakeClock):
    """Notes how long somebody wants to sleep, and wakes them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.wanted: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.wanted.append(seconds)
        await anyio.lowlevel.checkpoint()


class Engine:
    """Takes its time for an evaluation, in one way or the other."""

    def __init__(self, *, works: bool) -> None:
        self.alerts: list[Any] = []
        self._works = works

    def evaluate(self, now: datetime) -> Evaluation:
        end = time.thread_time() + _SECONDS
        while self._works and time.thread_time() < end:
            pass
        if not self._works:
            time.sleep(_SECONDS)  # as at a lock
        return Evaluation()


@pytest.mark.parametrize(("works", "least", "most"), [(True, _SECONDS, 10 * _SECONDS), (False, 0.2, 0.2)])
async def test_the_next_evaluation_comes_after_as_much_time_as_the_last_has_used(
    works: bool, least: float, most: float
) -> None:
    clock, looked = PatientClock(), list[int]()
    loop = AlertEvaluation(cast("AlertEngine", Engine(works=works)), lambda: looked.append(1), clock)
    async with anyio.create_task_group() as group:
        group.start_soon(loop.run)
        loop.wake()
        while not clock.wanted:
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert least <= clock.wanted[0] <= most
    assert looked
