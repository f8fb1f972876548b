"""How much slower than on a quiet machine a program runs now, so that other load does not fail a drill.

Every second a piece of work that takes 0.05 s of processor time is timed. On a quiet machine the elapsed time is the
same; the mean of the quotient is the factor by which programs are slowed down.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread

from orchestration.clock import Clock

_EVERY_SECONDS = 1.0
# Five per cent of one processor: enough for the scheduler to interrupt it, too little to disturb the drill.
_WORK_SECONDS = 0.05
_COUNT = 2_000
# Below that it is the noise of measuring, and the limits stay as they are.
_LEAST = 1.1


class Calibration:
    """Collects measurements."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._seen: list[float] = []

    @property
    def slowness(self) -> float:
        """The mean of the measurements; 1 on a quiet machine."""
        return slowness_of(self._seen)

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure repeatedly for as long as the block lasts."""
        failed: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(self._measure)
            try:
                yield
            except Exception as error:  # noqa: BLE001 (raised again below, where no group wraps it)
                failed = error
            group.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _measure(self) -> None:
        while True:
            # On a thread of its own: the event loop is needed to observe the drill meanwhile.
            self._seen.append(await anyio.to_thread.run_sync(self._once))
            await self.clock.sleep(_EVERY_SECONDS)

    def _once(self) -> float:
        """Elapsed seconds per second of processor time."""
        # `thread_time` counts this thread alone: processor time of the drill's other threads is not work done here.
        begun, used = self.clock.monotonic(), time.thread_time()
        while (worked := time.thread_time() - used) < _WORK_SECONDS:
            sum(range(_COUNT))
        return (self.clock.monotonic() - begun) / worked


def slowness_of(seen: list[float]) -> float:
    """The factor that the measurements add up to. Pure."""
    mean = sum(seen) / len(seen) if seen else 1.0
    return round(mean, 2) if mean > _LEAST else 1.0
