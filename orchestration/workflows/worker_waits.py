"""Agents that wait for a worker with their label: what each waits for is shown while it waits."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread

from orchestration.clock import Clock
from orchestration.domain.work_phase import WorkPhase
from orchestration.events import EventBus
from orchestration.events.agents import AgentProgressed, AgentUnplaced
from orchestration.storage.leases import Leases
from orchestration.storage.outage import is_outage
from orchestration.workflows.engine import Engine, PlacedFlow
from orchestration.workflows.model import AgentTask
from orchestration.workflows.processes import live_processes

# Within the five seconds for which a sign of life counts as fresh (`runs/activity_text.py`).
_EVERY_SECONDS = 2.0


@dataclass(slots=True)
class _Wait:
    """Since when a flow has waited, by the monotonic clock, and whether it was reported that no worker can take it."""

    since: float
    reported: bool = False


class WorkerWaits:
    """Shows the agents that this process has left to workers with a label, until one has taken them. While no worker
    has the label, an event says so, once."""

    def __init__(self, engine: Engine, leases: Leases, bus: EventBus, clock: Clock) -> None:
        self._engine = engine
        self._leases = leases
        self._bus = bus
        self._clock = clock
        self._waits: dict[str, _Wait] = {}

    async def watch(self) -> None:
        """Look every few seconds, until cancelled. Nothing is read while nothing was left to others."""
        while True:
            try:
                await self.look()
            except Exception as error:
                if not is_outage(error):
                    raise
            await self._clock.sleep(_EVERY_SECONDS)

    async def look(self) -> None:
        """Show what waits at this moment."""
        waiting = await self._engine.waiting_on_labels()
        now = self._clock.monotonic()
        self._waits = {flow.id: self._waits.get(flow.id, _Wait(now)) for flow in waiting}
        if not waiting:
            return
        processes = await anyio.to_thread.run_sync(live_processes, self._leases)
        for flow in waiting:
            self._show(flow, self._waits[flow.id], now, served=any(one.claims(flow.label) for one in processes))

    def _show(self, flow: PlacedFlow, wait: _Wait, now: float, *, served: bool) -> None:
        task: AgentTask = flow.payload
        # The second time it is seen: a worker that is there takes an agent within a moment.
        if not served and not wait.reported and now > wait.since:
            self._bus.publish(AgentUnplaced(flow.id, flow.label), run_id=task.run_id, agent=task.agent)
            wait.reported = True
        elif served:
            wait.reported = False
        words = f'waits for a {"free " if served else ""}worker with the label "{flow.label}"'
        beat = AgentProgressed(
            agent_run_id=flow.id,
            activity=words if served else f"{words}; none is running",
            tokens=0,
            phase=WorkPhase.UNPLACED.value,
            about=flow.label,
            seconds=round(now - wait.since, 3),
            progressed=False,
        )
        self._bus.publish(beat, run_id=task.run_id, agent=task.agent)
