"""Runs everything that looks, each on its own interval, and hands on what they see.

1. What an event tells becomes signals at once. 2. What has to be looked at is looked at on an interval. 3. Both go to
the sink in batches, a tenth of a second after the first signal in one. Whatever fails is contained: it is logged once,
counted, and tried again; nothing else stops for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from orchestration import logs
from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.events import Event, EventBus
from orchestration.monitoring.signals.event_signals import signals_of

Sink = Callable[[Sequence[Signal]], None]
Look = Callable[[], Awaitable[Iterable[Signal]]]

_GATHER_SECONDS = 0.1
_MOST_WAITING = 50_000
# So much later than its interval a loop may be before the dead-man address is left to complain.
_LAGGING_SECONDS = 60.0

_log = logs.get_logger(__name__)


class EventListener(Protocol):
    """Something that learns from events and may tell signals at once. Called on any thread; must be quick."""

    def on_event(self, event: Event) -> Iterable[Signal]: ...


@dataclass(frozen=True, slots=True)
class CollectorLoop:
    """Something to look at again and again."""

    name: str
    seconds: Callable[[], float]
    look: Look


@dataclass(slots=True)
class _Pulse:
    """When a loop last came round, and when it last did what it is for."""

    seconds: Callable[[], float]
    round_at: float
    done_at: float
    failing: set[str] = field(default_factory=set)


def in_thread(look: Callable[[], Iterable[Signal]]) -> Look:
    """A look that blocks, made one that does not. It is left to itself when everything stops: a disk or a server that
    hangs must not keep us from stopping too."""

    async def run() -> Iterable[Signal]:
        return await anyio.to_thread.run_sync(look, abandon_on_cancel=True)

    return run


class Monitor:
    """Looks, listens, and tells. The sink is called on the event loop, one batch at a time; it should be quick."""

    def __init__(
        self,
        bus: EventBus,
        clock: Clock,
        sink: Sink,
        listeners: Sequence[EventListener] = (),
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._sink = sink
        self._count_failure = count_failure
        self._loops: list[CollectorLoop] = []
        self._listeners = listeners
        self._waiting: deque[Signal] = deque(maxlen=_MOST_WAITING)
        self._pulses: dict[str, _Pulse] = {}
        self._wake: Callable[[], None] = lambda: None

    def every(self, seconds: float | Callable[[], float], name: str, look: Look) -> None:
        """Look again and again, once `run` runs. An interval that may change is a function, asked each time."""
        self._loops.append(CollectorLoop(name, seconds if callable(seconds) else lambda: seconds, look))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look and listen until cancelled; started when it listens."""
        arrived = asyncio.Event()
        running = asyncio.get_running_loop()
        self._wake = lambda: _set_from_anywhere(running, arrived)
        self._wake()  # for what has come before
        unsubscribe = self._bus.subscribe(self.on_event)
        task_status.started()
        try:
            async with anyio.create_task_group() as group:
                for loop in self._loops:
                    self.watch(loop.name, loop.seconds)
                    group.start_soon(self._repeat, loop)
                group.start_soon(self._hand_on, arrived)
        finally:
            unsubscribe()
            self._wake = lambda: None

    def on_event(self, event: Event) -> None:
        """What an event tells, at once. Safe from any thread; the bus calls it while `run` runs."""
        self.add(signals_of(event))
        for listener in self._listeners:
            self.add(listener.on_event(event))

    def add(self, signals: Iterable[Signal]) -> None:
        """Hand on signals, from whoever has some. Safe from any thread."""
        if batch := tuple(signals):
            self._waiting.extend(batch)
            self._wake()

    def watch(self, loop: str, seconds: Callable[[], float]) -> Callable[[], None]:
        """Watch a loop that is not ours; call what is returned each time that it has done its work."""
        now = self._clock.monotonic()
        pulse = self._pulses.setdefault(loop, _Pulse(seconds, now, now))

        def beat() -> None:
            pulse.round_at = pulse.done_at = self._clock.monotonic()

        beat()
        return beat

    def healthy(self) -> bool:
        """Whether all loops come round, be it that what they look at cannot be seen."""
        now = self._clock.monotonic()
        return all(now - pulse.round_at - pulse.seconds() < _LAGGING_SECONDS for pulse in self._pulses.values())

    async def look_at_loops(self) -> tuple[Signal, ...]:
        """By how much each loop is behind its interval, counted from when it last did what it is for."""
        now, moment = self._clock.monotonic(), self._clock.now()
        ages = {name: max(0.0, now - pulse.done_at - pulse.seconds()) for name, pulse in self._pulses.items()}
        return tuple(Signal("loop_age_seconds", moment, age, {"loop": name}) for name, age in ages.items())

    async def _repeat(self, loop: CollectorLoop) -> None:
        while True:
            await self._look(loop)
            await self._clock.sleep(loop.seconds())

    async def _look(self, loop: CollectorLoop) -> None:
        pulse = self._pulses[loop.name]
        try:
            self.add(await loop.look())
        except Exception as error:  # noqa: BLE001 — whatever goes wrong in one must not stop the others
            self._note_failure(loop.name, pulse, error)
        else:
            pulse.failing.clear()
            pulse.done_at = self._clock.monotonic()
        pulse.round_at = self._clock.monotonic()

    def _note_failure(self, name: str, pulse: _Pulse, error: Exception) -> None:
        kind = type(error).__name__
        self._count_failure()
        if kind not in pulse.failing:
            pulse.failing.add(kind)
            _log.exception("monitoring.look_failed", loop=name, message=f"looking at {name} failed: {kind}")

    async def _hand_on(self, arrived: asyncio.Event) -> None:
        failing = ""
        while True:
            await arrived.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            arrived.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if batch:
                failing = self._give(batch, failing)

    def _give(self, batch: Sequence[Signal], failing: str) -> str:
        """Give a batch to the sink; returns the kind of its failure, which is told when it is another than before."""
        try:
            self._sink(batch)
        except Exception as error:  # noqa: BLE001 — signals must go on flowing whatever their receiver does
            kind = type(error).__name__
            self._count_failure()
            if kind != failing:
                _log.exception("monitoring.sink_failed", message=f"{len(batch)} signals were not taken: {kind}")
            return kind
        return ""


def _set_from_anywhere(running: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        running.call_soon_threadsafe(event.set)
    except RuntimeError:  # the loop has just been closed; there is nobody left to tell
        return
