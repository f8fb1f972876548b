"""Suspension: a run that no provider answers is shown as waiting, keeps its place, and loses nothing."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.to_thread

from orchestration.domain.run_hold import RunHold
from orchestration.domain.run_status import RunStatus
from orchestration.events import EventBus
from orchestration.events.runs import RunContinued, RunWaiting
from orchestration.storage.runs import Runs


class RunSuspension:
    """Keeps the status of runs correct while some of their agents wait.

    Several agents of a run may wait at once, so it is shown as running again only when the last of them continues.
    """

    def __init__(self, runs: Runs, bus: EventBus) -> None:
        self._runs = runs
        self._bus = bus
        self._waiting: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def on(self, run_id: str, agent: str, reason: str, hints: Sequence[str]) -> AsyncIterator[None]:
        """Show the run as waiting for as long as the block lasts, with the reason and what an operator can do."""
        self._waiting[run_id] += 1
        try:
            await self._set_status(run_id, RunStatus.WAITING, reason, RunHold.NO_PROVIDER)
            self._bus.publish(RunWaiting(reason=reason, hints=tuple(hints)), run_id=run_id, agent=agent)
            yield
        finally:
            # Counted before any await: a second agent that starts to wait in between must be seen.
            self._waiting[run_id] -= 1
            others = self._waiting[run_id]
            if not others:
                del self._waiting[run_id]
        if not others:
            await self._set_status(run_id, RunStatus.RUNNING)
            self._bus.publish(RunContinued(), run_id=run_id, agent=agent)

    async def _set_status(self, run_id: str, status: RunStatus, reason: str = "", hold: RunHold | None = None) -> None:
        await anyio.to_thread.run_sync(lambda: self._runs.set_status(run_id, status, reason, hold=hold))
