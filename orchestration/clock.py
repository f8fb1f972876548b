"""The only module that reads the time. Everything else receives a clock, so that tests control the time.

The clock of a machine may be set back: by hand, by NTP after a bad start, by a virtual machine that is resumed. What is
ordered by time, and what waits for a time, must not follow: an escalation would wait for an hour, and the end of an
alert would seem to be older than its beginning. So `now` never goes back. It follows the machine's clock forward, and
when that is set back, it goes on by the monotonic clock, a little slower, until the machine's clock has caught up. What
a process has written is the least that another one begins with (`advance_to`).
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """The time, as the system reads it."""

    def now(self) -> datetime:
        """The time of day, UTC, for people and records; never goes back within a process."""
        ...

    def wall(self) -> datetime:
        """The time of day, UTC, as the machine's clock has it at the moment; may go back. Only for what is compared
        with the clocks of others: signatures, times in messages, times of files."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary point; never goes back; for durations and deadlines within one process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; returns at once for zero or less."""
        ...


# By how much slower time passes while the machine's clock catches up: after an hour that is over in ten, and a timer is
# late by a tenth at most.
_SLOWER = 0.1
# Further ahead than that, it was the earlier time that was wrong: nobody wants dates of another year for years.
FURTHEST_AHEAD = timedelta(days=1)


class ForwardTime:
    """A time that follows another one and never goes back, in seconds since 1970. Pure.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = float("-inf")
        self._read_at = 0.0

    def read(self, wall: float, monotonic: float) -> float:
        """The time, where the machine's two clocks show these."""
        with self._lock:
            passed = max(0.0, monotonic - self._read_at)
            ahead = self._last - wall
            # One further ahead than that is given up: only then does this time go back.
            followed = ahead <= FURTHEST_AHEAD.total_seconds()
            self._last = max(wall, self._last + passed * (1 - _SLOWER)) if followed else wall
            self._read_at = max(self._read_at, monotonic)
            return self._last

    def advance_to(self, moment: float, wall: float, monotonic: float) -> None:
        """Do not show less than that from now on, unless it is out of the question."""
        self.read(wall, monotonic)
        with self._lock:
            if moment - wall <= FURTHEST_AHEAD.total_seconds():
                self._last = max(self._last, moment)


class SystemClock:
    """The machine's own clock, which never goes back here."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`wall` and `monotonic` read the machine's clocks, in seconds; tests set them back."""
        self._wall = wall
        self._monotonic = monotonic
        self._forward = ForwardTime()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._forward.read(self._wall(), self._monotonic()), UTC)

    def wall(self) -> datetime:
        return datetime.fromtimestamp(self._wall(), UTC)

    @property
    def ahead_seconds(self) -> float:
        """By how much `now` is ahead of the machine's clock, which was set back."""
        return (self.now() - self.wall()).total_seconds()

    def advance_to(self, moment: datetime) -> None:
        """Begin no earlier than a time that has been recorded; a process that was before may have seen a clock that was
        set back since."""
        self._forward.advance_to(moment.timestamp(), self._wall(), self._monotonic())

    def monotonic(self) -> float:
        return self._monotonic()

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

    def wall(self) -> datetime:
        return self.now()

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
