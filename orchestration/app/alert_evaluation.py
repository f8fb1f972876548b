"""Evaluates alerts in a control process: when signals arrive, and at least once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import anyio
import anyio.to_thread

from orchestration.alerts.engine import AlertEngine
from orchestration.clock import Clock
from orchestration.memory import return_free_memory

# A burst of signals is one evaluation.
_MIN_INTERVAL_SECONDS = 0.2
# An absence, or the end of a hold time, brings no signal.
_MAX_INTERVAL_SECONDS = 1.0
# So many take some megabytes, which are given back when they have gone.
_MANY_ALERTS = 1000


class AlertEvaluation:
    """The loop. `prepare` is called before each evaluation, on a thread."""

    def __init__(self, engine: AlertEngine, prepare: Callable[[], None], clock: Clock) -> None:
        self._engine = engine
        self._prepare = prepare
        self._clock = clock
        self._arrived = anyio.Event()

    def wake(self) -> None:
        """Evaluate soon: signals have arrived."""
        self._arrived.set()

    async def run(self) -> None:
        """Evaluate until cancelled."""
        unfinished, most = False, 0
        while True:
            with anyio.move_on_after(0 if unfinished else _MAX_INTERVAL_SECONDS):
                await self._arrived.wait()
            # Replaced before the evaluation: a signal that arrives during it causes another one.
            self._arrived = anyio.Event()
            await anyio.to_thread.run_sync(self._prepare)
            busy = unfinished
            unfinished, used = await anyio.to_thread.run_sync(self._evaluate, self._clock.now())
            known = len(self._engine.alerts)
            if (busy and not unfinished) or most - known >= _MANY_ALERTS:
                await anyio.to_thread.run_sync(return_free_memory)
                most = known
            most = max(most, known)
            # Half of the time belongs to the rest of this process, however many alerts there are.
            await self._clock.sleep(max(_MIN_INTERVAL_SECONDS, used))

    def _evaluate(self, now: datetime) -> tuple[bool, float]:
        """Whether more waits, and the seconds of processor time that it took. While it waits, others can work: after
        seconds at a lock, the signal that the database is locked must not wait as long again."""
        began = time.thread_time()
        return self._engine.evaluate(now).unfinished, time.thread_time() - began
