"""The processes of this machine, as people want to see them when it is in trouble; and ours, over time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import psutil

from orchestration.agents import sandbox
from orchestration.clock import Clock
from orchestration.monitoring.collectors.trend import Point, slope, suspect_leak

_BETWEEN_SECONDS = 0.2
_PAUSE_PER_SECOND = 50.0
_SHOWN_CHARACTERS = 160
_KEPT_POINTS = 60
# A megabyte a minute: what a real leak does at least.
_LEAK_BYTES_PER_SECOND = 1_048_576 / 60
LEAK_SECONDS = 600.0

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process: `cpu_percent` of one processor, `memory_bytes` resident, `ours` if we or a child of ours started
    it, `of_agent` if it is an agent's command or was started by one."""

    pid: int
    command: str
    cpu_percent: float
    memory_bytes: int
    ours: bool
    of_agent: bool = False


@dataclass(frozen=True, slots=True)
class Leak:
    """A process of ours whose memory grows steadily."""

    pid: int
    command: str
    bytes_per_second: float
    memory_bytes: int


def top(count: int, redact: Callable[[str], str], clock: Clock) -> tuple[ProcessUse, ...]:
    """The `count` busiest and the `count` largest processes. Blocks for a fifth of a second to measure."""
    # psutil's own `cpu_percent` measures since the last call for the same process, which may be long
    # ago: https://psutil.readthedocs.io
    before = {process.pid: (process, seconds) for process in psutil.process_iter() if (seconds := _cpu(process)) >= 0}
    started = clock.monotonic()
    time.sleep(_BETWEEN_SECONDS)
    span = max(clock.monotonic() - started, _BETWEEN_SECONDS)
    used = [
        (100 * max(0.0, after - earlier) / span, memory, process)
        for process, earlier in before.values()
        if (after := _cpu(process)) >= 0 and (memory := _memory(process)) >= 0
    ]
    busiest = sorted(used, key=lambda one: one[0], reverse=True)[:count]
    largest = sorted(used, key=lambda one: one[1], reverse=True)[:count]
    mine = family()
    numbers, of_agents = {process.pid for process in mine}, agents_commands(mine)
    chosen = {process.pid: (cpu, memory, process) for cpu, memory, process in (*busiest, *largest)}
    return tuple(
        ProcessUse(pid, redact(_command(process)), round(cpu, 1), memory, pid in numbers, pid in of_agents)
        for pid, (cpu, memory, process) in chosen.items()
    )


class TopProcesses:
    """The busiest and the largest processes, listed no more often than costs a fiftieth of a processor: on a machine
    with many processes each look takes long, and it is looked when the processor is busy. In between the last list
    stands."""

    def __init__(
        self,
        count: int,
        redact: Callable[[str], str],
        clock: Clock,
        look: Callable[..., tuple[ProcessUse, ...]] = top,
        used: Callable[[], float] = time.thread_time,
    ) -> None:
        self._look = partial(look, count, redact, clock)
        self._clock = clock
        self._used = used
        self._listed: tuple[ProcessUse, ...] = ()
        self._next = float("-inf")

    def read(self) -> tuple[ProcessUse, ...]:
        """The present list. May block as `top` does."""
        if self._clock.monotonic() >= self._next:
            began = self._used()
            self._listed = self._look()
            self._next = self._clock.monotonic() + _PAUSE_PER_SECOND * (self._used() - began)
        return self._listed


def family() -> list[psutil.Process]:
    """This process and all that it has started."""
    me = psutil.Process(os.getpid())
    try:
        return [me, *me.children(recursive=True)]
    except _GONE:
        return [me]


def agents_commands(processes: Iterable[psutil.Process]) -> frozenset[int]:
    """The numbers of those that the agents' commands consist of, whose own supervisors are among these processes.

    What else we start, such as Ollama, a drill or a copy of the database, may be busy for as long as it likes.
    """
    found: set[int] = set()
    for process in processes:
        with contextlib.suppress(*_GONE):
            if sandbox.supervises(process.cmdline()):
                found.update(child.pid for child in process.children(recursive=True))
    return frozenset(found)


class MemoryWatch:
    """Follows the memory of our processes, and names those that seem to leak: that have grown for `leak_seconds`."""

    def __init__(self, redact: Callable[[str], str], leak_seconds: Callable[[], float] = lambda: LEAK_SECONDS) -> None:
        self._redact = redact
        self._leak_seconds = leak_seconds
        self._points: dict[tuple[int, float], list[Point]] = {}
        self._commands: dict[tuple[int, float], str] = {}

    def measure(self, now: float) -> tuple[Leak, ...]:
        """Measure once, at `now` in seconds; blocks for some milliseconds."""
        seen = {}
        for process in family():
            try:
                # Process numbers are reused; together with the time of its start a number means one process.
                key = (process.pid, process.create_time())
                seen[key] = process.memory_info().rss
                self._commands.setdefault(key, self._redact(_command(process)))
            except _GONE:
                continue
        self.record(now, seen)
        return self.leaks()

    def record(self, now: float, seen: dict[tuple[int, float], int]) -> None:
        """Add a measurement of each process, by its number and start; the others are gone."""
        self._points = {key: [*self._points.get(key, []), (now, size)][-_KEPT_POINTS:] for key, size in seen.items()}
        self._commands = {key: command for key, command in self._commands.items() if key in seen}

    def leaks(self) -> tuple[Leak, ...]:
        """The processes that seem to leak, the fastest first."""
        seconds = self._leak_seconds()
        found = [
            Leak(key[0], self._commands.get(key, ""), slope(points) or 0.0, int(points[-1][1]))
            for key, points in self._points.items()
            if suspect_leak(points, per_second=_LEAK_BYTES_PER_SECOND, seconds=seconds)
        ]
        return tuple(sorted(found, key=lambda leak: leak.bytes_per_second, reverse=True))


def _cpu(process: psutil.Process) -> float:
    """Processor seconds used so far; -1 when it is gone."""
    try:
        times = process.cpu_times()
    except _GONE:
        return -1.0
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except _GONE:
        return -1


def _command(process: psutil.Process) -> str:
    """Its command line, or its name where it has none."""
    try:
        return (" ".join(process.cmdline()) or process.name())[:_SHOWN_CHARACTERS]
    except _GONE:
        return "?"
