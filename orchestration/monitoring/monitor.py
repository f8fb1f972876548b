"""Runs the collectors, each on its own interval, and delivers their signals in batches.

1. Events become signals at once. 2. Collectors run on their intervals. 3. The signals of both go to the sink in
batches, a tenth of a second after the first signal of a batch. A failure is contained: it is logged once, counted, and
tried again; nothing else stops for it.
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
Round = Callable[[], Awaitable[Iterable[Signal]]]

# The signals of one fault arrive together; in a batch the rules are evaluated once for all of them.
_GATHER_SECONDS = 0.1
# A bound for as long as the sink is stuck. The oldest signals are dropped, because rules go by the newest.
_MOST_WAITING = 50_000
# A loop may be this late before the pings to the dead-man address stop, which tells people outside that it is stuck.
_LAGGING_SECONDS = 60.0

_log = logs.get_logger(__name__)


class EventListener(Protocol):
    """Learns from events, and may report signals at once. Called on any thread; must be quick."""

    def on_event(self, event: Event) -> Iterable[Signal]: ...


@dataclass(frozen=True, slots=True)
class CollectorLoop:
    """A collector with its interval."""

    name: str
    seconds: Callable[[], float]
    collect: Round


@dataclass(slots=True)
class _Pulse:
    """When a loop last came round, and when it last succeeded."""

    seconds: Callable[[], float]
    round_at: float
    done_at: float
    failing: set[str] = field(default_factory=set)


def in_thread(collect: Callable[[], Iterable[Signal]]) -> Round:
    """Run a blocking collector on a thread, which is abandoned when everything stops.

    A disk or a server that hangs must not keep the process from stopping.
    """

    async def run() -> Iterable[Signal]:
        return await anyio.to_thread.run_sync(collect, abandon_on_cancel=True)

    return run


class Monitor:
    """Runs collectors, listens to events, and delivers. The sink is called on the event loop, one batch at a time; it
    should be quick."""

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

    def every(self, seconds: float | Callable[[], float], name: str, collect: Round) -> None:
        """Add a collector, to run from `run` on. An interval that may change is a function, called before each wait."""
        self._loops.append(CollectorLoop(name, seconds if callable(seconds) else lambda: seconds, collect))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Collect and listen until cancelled; started when it listens."""
        arrived = asyncio.Event()
        running = asyncio.get_running_loop()
        self._wake = lambda: _set_from_anywhere(running, arrived)
        self._wake()  # for signals that were added before
        # Before `started`, or an event that is published right after the start could be missed.
        unsubscribe = self._bus.subscribe(self.on_event)
        task_status.started()
        try:
            async with anyio.create_task_group() as group:
                for loop in self._loops:
                    self.watch(loop.name, loop.seconds)
                    group.start_soon(self._repeat, loop)
                group.start_soon(self._deliver, arrived)
        finally:
            unsubscribe()
            self._wake = lambda: None

    def on_event(self, event: Event) -> None:
        """Turn an event into signals. Safe from any thread; the bus calls it while `run` runs."""
        self.add(signals_of(event))
        for listener in self._listeners:
            self.add(listener.on_event(event))

    def add(self, signals: Iterable[Signal]) -> None:
        """Queue signals for the sink. Safe from any thread."""
        if batch := tuple(signals):
            self._waiting.extend(batch)
            self._wake()

    def watch(self, loop: str, seconds: Callable[[], float]) -> Callable[[], None]:
        """Watch a loop that runs elsewhere; it calls what is returned whenever it has done its work."""
        now = self._clock.monotonic()
        pulse = self._pulses.setdefault(loop, _Pulse(seconds, now, now))

        def beat() -> None:
            pulse.round_at = pulse.done_at = self._clock.monotonic()

        beat()
        return beat

    def healthy(self) -> bool:
        """Whether all loops come round. One whose collector fails is healthy: it still tries."""
        now = self._clock.monotonic()
        return all(now - pulse.round_at - pulse.seconds() < _LAGGING_SECONDS for pulse in self._pulses.values())

    async def collect_loop_ages(self) -> tuple[Signal, ...]:
        """How far each loop is behind its interval, counted from its last success."""
        now, moment = self._clock.monotonic(), self._clock.now()
        ages = {name: max(0.0, now - pulse.done_at - pulse.seconds()) for name, pulse in self._pulses.items()}
        return tuple(Signal("loop_age_seconds", moment, age, {"loop": name}) for name, age in ages.items())

    async def _repeat(self, loop: CollectorLoop) -> None:
        while True:
            await self._run_round(loop)
            await self._clock.sleep(loop.seconds())

    async def _run_round(self, loop: CollectorLoop) -> None:
        pulse = self._pulses[loop.name]
        try:
            self.add(await loop.collect())
        except Exception as error:  # noqa: BLE001 — one collector must not stop the others
            self._log_failure(loop.name, pulse, error)
        else:
            pulse.failing.clear()
            pulse.done_at = self._clock.monotonic()
        # Also after a failure: the dead-man switch is about loops that hang, and this one has come round.
        pulse.round_at = self._clock.monotonic()

    def _log_failure(self, name: str, pulse: _Pulse, error: Exception) -> None:
        kind = type(error).__name__
        self._count_failure()
        # Once for each kind of failure: a collector that fails every second would fill the log with one traceback.
        if kind not in pulse.failing:
            pulse.failing.add(kind)
            _log.exception("monitoring.look_failed", loop=name, message=f"the collector {name} failed: {kind}")

    async def _deliver(self, arrived: asyncio.Event) -> None:
        failing = ""
        while True:
            await arrived.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            # Cleared before the batch is taken, so that a signal which arrives in between sets it again.
            arrived.clear()
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            if batch:
                failing = self._send(batch, failing)

    def _send(self, batch: Sequence[Signal], failing: str) -> str:
        """Give a batch to the sink; returns the kind of its failure, which is logged when it differs from the last."""
        try:
            self._sink(batch)
        except Exception as error:  # noqa: BLE001 — a broken receiver must not end the monitoring
            kind = type(error).__name__
            self._count_failure()
            if kind != failing:
                _log.exception("monitoring.sink_failed", message=f"{len(batch)} signals could not be processed: {kind}")
            return kind
        return ""


def _set_from_anywhere(running: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        running.call_soon_threadsafe(event.set)
    except RuntimeError:  # the loop has just been closed, so nothing waits for the event
        return
