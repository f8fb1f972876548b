"""What a collector of a user's own is: a descriptor, and a class that observes something."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.monitoring.signals.descriptor import SignalDescriptor


class Collector(Protocol):
    """Observes something, again and again. `collect` runs on a thread and may block; what it raises is logged once."""

    def collect(self) -> Iterable[Signal]: ...


@dataclass(frozen=True, slots=True)
class CollectorContext:
    """What a collector works with: its own `options`, secrets of `.env` by their variable, the clock, the project."""

    options: Mapping[str, Any]
    secret: Callable[[str], str | None]
    clock: Clock
    root: Path


@dataclass(frozen=True, slots=True)
class CollectorDescriptor:
    """A collector, as a package offers it. `seconds` is the interval unless the configuration has another."""

    name: str
    summary: str
    signals: tuple[SignalDescriptor, ...]
    factory: Callable[[CollectorContext], Collector]
    seconds: float = 30.0


@dataclass(slots=True)
class InstalledCollector:
    """Builds a collector when it is first needed, and accepts only the signals that it declares."""

    descriptor: CollectorDescriptor
    context: CollectorContext
    _collector: Collector | None = field(default=None, init=False)

    def collect(self) -> tuple[Signal, ...]:
        """One round of signals. Raises whatever the collector raises, and ValueError for a signal that is undeclared.

        Built here and not at the start, so that wrong options or a server that is down fail like any other round: they
        are logged, the age of the loop grows, and the next round tries again.
        """
        if self._collector is None:
            self._collector = self.descriptor.factory(self.context)
        signals = tuple(self._collector.collect())
        declared = {one.name: set(one.labels) for one in self.descriptor.signals}
        for signal in signals:
            if declared.get(signal.name) != set(signal.labels):
                raise ValueError(f"{self.descriptor.name} does not declare {signal.name} with {sorted(signal.labels)}")
        return signals
