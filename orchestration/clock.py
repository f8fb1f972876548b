"""The only module that reads the time. Everything else receives a clock, so that tests control the time."""

from __future__ import annotations

import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """The time, as the system reads it."""

    def now(self) -> datetime:
        """The time of day, UTC, for people and records."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back; for durations and deadlines within one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(max(0.0, seconds))


class FakeClock:
    """A clock that stands still until it is told to move; sleepers wake in order as it passes them."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, anyio.Event]] = []

    def now(self) -> datetime:
        return self._now + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            # Even a sleep of zero lets other tasks run, as the real one does; a loop of such sleeps would block the
            # rest otherwise.
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        # The counter decides between equal times, in the order of the calls: events cannot be compared.
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), event))
        await event.wait()

    async def advance(self, seconds: float) -> None:
        """Move forward, waking each sleeper at its own moment and letting it run before going on."""
        end = self._elapsed + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, event = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            event.set()
            await _let_others_run()
        self._elapsed = end
        await _let_others_run()


async def _let_others_run() -> None:
    # A woken task may wake another, and each needs a turn of the event loop of its own.
    for _ in range(10):
        await anyio.lowlevel.checkpoint()
