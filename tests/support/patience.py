"""How long tests wait: as long as the machine needs now, measured, and never longer than that on a quiet one.

A limit in a test says how long something takes where nothing else is running, on a processor of the usual speed. Before
such a limit fails a test, it is measured how much slower than that a program runs at this moment, and the limit is
widened by that factor. A measurement takes a few hundredths of a second and is made only when a limit is
about to be exceeded, or when a number of seconds has to be handed to somebody else in advance.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

_WORK_SECONDS = 0.04
_COUNT = 2_000
# How often a processor of the usual speed adds up so many numbers in a second of its time. Rented machines differ by
# more than two, and one whose other half works for somebody else by a third.
_USUAL_SPEED = 40_000.0
_NOISE = 1.1
# Beyond that it is no longer the machine that is to blame, and a suite that never ends tells nobody anything.
_MOST = 25.0
_FRESH_SECONDS = 3.0
_PAUSES = 3
_LONGEST_PAUSE = 0.25
_OF_THE_WAIT = 0.02

_last: tuple[float, float] | None = None


def slowness() -> float:
    """How many times longer than on a quiet machine things take now; 1 on a quiet one."""
    global _last  # noqa: PLW0603 (one measurement serves everybody in this process)
    now = time.monotonic()
    if _last is None or now - _last[0] > _FRESH_SECONDS:
        _last = (time.monotonic(), slowness_of(*_measured(), os.getloadavg()[0], os.cpu_count() or 1))
    return _last[1]


def processor_speed() -> float:
    """How fast a processor of this machine is now, as a share of the usual speed."""
    return _measured()[1] / _USUAL_SPEED


def slowness_of(held_up: float, speed: float, load: float, processors: int) -> float:
    """The factor from what was measured. Pure.

    A slow processor makes everything longer, however little there is to do. Seconds for a second of processor time say
    how it is at this moment. The load of the last minute counts as well: a process that has just slept is favoured by
    the kernel, while the ones that a test starts are not.
    """
    factor = max(held_up, load / processors, 1.0) * max(_USUAL_SPEED / speed, 1.0)
    return min(factor, _MOST) if factor > _NOISE else 1.0


def _measured() -> tuple[float, float]:
    """Seconds that pass for a second of processor time, and how often the numbers are added up in one."""
    begun, used, times = time.perf_counter(), time.thread_time(), 0
    while (worked := time.thread_time() - used) < _WORK_SECONDS:
        sum(range(_COUNT))
        times += 1
    return (time.perf_counter() - begun) / worked, times / worked


def patient(seconds: float) -> float:
    """That many seconds, as long as they are on this machine now: for limits that are handed to somebody else."""
    return seconds * slowness()


class Deadline:
    """A limit that is measured against the machine before it counts as exceeded."""

    def __init__(self, seconds: float, measure: Callable[[], float] = slowness) -> None:
        self._begun = time.monotonic()
        self._seconds = self._limit = seconds
        self._measure = measure

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    @property
    def left(self) -> float:
        """Seconds until the limit as it is known so far."""
        return max(0.0, self._limit - self.elapsed)

    def is_over(self) -> bool:
        """Whether the time is up, also by the measure of the machine. A limit that was widened stays so."""
        if self.elapsed <= self._limit:
            return False
        self._limit = max(self._limit, self._seconds * self._measure())
        return self.elapsed > self._limit

    def __str__(self) -> str:
        return f"{self.elapsed:.1f} s passed; the limit was {self._limit:.1f} s (quiet: {self._seconds:g} s)"


def until(condition: Callable[[], Any], seconds: float = 30.0, what: str = "it never came to be") -> Any:
    """Wait until the condition gives something true, and return that."""
    deadline = Deadline(seconds)
    asked = Stopwatch()
    while not (found := condition()):
        assert not deadline.is_over(), f"{what}: {deadline}"
        time.sleep(pause(asked.seconds, 0.02, deadline.elapsed))
        asked = Stopwatch()
    return found


async def until_async(condition: Callable[[], Any], seconds: float = 15.0, what: str = "it never came to be") -> Any:
    """The same, leaving the loop to others meanwhile."""
    deadline = Deadline(seconds)
    asked = Stopwatch()
    while not (found := condition()):
        assert not deadline.is_over(), f"{what}: {deadline}"
        await anyio.sleep(pause(asked.seconds, 0.01, deadline.elapsed))
        asked = Stopwatch()
    return found


def pause(asked_seconds: float, least: float, waited_seconds: float = 0.0) -> float:
    """Seconds before a question that took so long is asked again, after a wait of so many seconds. Pure.

    To ask for a page or for a command again and again took more of the machine than what was waited for. What has not
    come for ten seconds is not missed by a fifth of one.
    """
    return min(max(least, _PAUSES * asked_seconds, _OF_THE_WAIT * waited_seconds), _LONGEST_PAUSE)


class Stopwatch:
    """The time since it was made."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun

    def is_within(self, seconds: float) -> bool:
        """Whether what was timed has taken less than that, by the measure of the machine."""
        taken = self.seconds
        return taken < seconds or taken < patient(seconds)

    def __repr__(self) -> str:
        return f"{self.seconds:.2f} s, {slowness():.1f} times as long as on a quiet machine"


@contextmanager
def fail_after(seconds: float) -> Iterator[anyio.CancelScope]:
    """Break off what stands in the block when the time is up, as `anyio.fail_after` does."""
    with anyio.fail_after(patient(seconds)) as scope:
        yield scope


def wait_for_end(process: subprocess.Popen[Any], seconds: float) -> int:
    """The exit code of a process that has to end in that time."""
    deadline = Deadline(seconds)
    while True:
        try:
            return process.wait(timeout=max(0.05, deadline.left))
        except subprocess.TimeoutExpired:
            if deadline.is_over():
                raise
