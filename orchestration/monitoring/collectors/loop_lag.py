"""How late the event loop is: by how much a short sleep outlasts its duration."""

from __future__ import annotations

import os

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock

_EVERY_SECONDS = 0.5


class LoopLag:
    """Measures continuously, and reports the worst value since the last round."""

    def __init__(self, clock: Clock, process: str = "") -> None:
        self._clock = clock
        self._process = process or f"pid-{os.getpid()}"
        self._worst = 0.0

    async def measure(self) -> None:
        """Measure until cancelled."""
        while True:
            started = self._clock.monotonic()
            await self._clock.sleep(_EVERY_SECONDS)
            self._worst = max(self._worst, self._clock.monotonic() - started - _EVERY_SECONDS)

    async def collect(self) -> tuple[Signal, ...]:
        """The worst value since the last round."""
        worst, self._worst = self._worst, 0.0
        return (Signal("event_loop_lag_seconds", self._clock.now(), worst, {"process": self._process}),)
