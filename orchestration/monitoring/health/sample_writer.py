"""Stores gauges as samples, for plots."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.monitoring.signals.catalogue import GAUGES
from orchestration.storage.samples import Samples, StoredSample

_MOST_WAITING = 20_000
_SUM_UP_EVERY_SECONDS = 60.0


class SampleWriter:
    """Buffers samples in memory and writes them in batches.

    While the database cannot be written, the newest samples are kept, up to a bound. Safe from any thread.
    """

    def __init__(
        self, samples: Samples, clock: Clock, retention_days: Callable[[], int], gauges: Collection[str] = GAUGES
    ) -> None:
        self._samples = samples
        self._clock = clock
        self._retention_days = retention_days
        self._gauges = gauges
        self._lock = threading.Lock()
        self._waiting: list[StoredSample] = []
        self._summed_up_at = float("-inf")

    def record(self, signals: Iterable[Signal]) -> None:
        """Add gauges. Values that a drill caused are left out: plots show normal operation."""
        gauges = [
            StoredSample(one.name, one.at, one.value, one.labels)
            for one in signals
            if one.name in self._gauges and not one.drill
        ]
        with self._lock:
            self._waiting = [*self._waiting, *gauges][-_MOST_WAITING:]

    def write(self) -> tuple[Signal, ...]:
        """Write the buffer, and roll up what is due. Blocks."""
        # The lock is not held while the database is written: `record` runs on the event loop and must not
        # wait for a disk.
        with self._lock:
            batch, self._waiting = self._waiting, []
        try:
            self._samples.add(batch)
        except Exception:
            with self._lock:
                self._waiting = [*batch, *self._waiting][-_MOST_WAITING:]
            raise
        if self._clock.monotonic() - self._summed_up_at >= _SUM_UP_EVERY_SECONDS:
            # Set first, so that a roll-up that fails is tried again in a minute and not in every round.
            self._summed_up_at = self._clock.monotonic()
            self._samples.roll_up(self._clock.now(), timedelta(days=self._retention_days()))
        return ()
