"""Which live process works on a run, or could."""

from __future__ import annotations

import anyio.to_thread

from orchestration.storage.leases import Leases
from orchestration.workflows.engine import Engine, FlowState
from orchestration.workflows.processes import live_processes

_UNFINISHED = (FlowState.RUNNING, FlowState.QUEUED)
_WAITING = (FlowState.QUEUED, FlowState.INTERRUPTED)


class RunPlacement:
    """Tells runs of this process from runs of others, by the leases of live processes."""

    def __init__(self, engine: Engine, leases: Leases) -> None:
        self._engine = engine
        self._leases = leases

    async def has_workers(self) -> bool:
        """Whether a live process works on any run that waits."""
        return bool(await self._workers())

    async def is_elsewhere(self, run_id: str) -> bool:
        """Whether another live process works on a run, or a worker is there to do so."""
        executors = await self._executors(run_id)
        return bool(executors) and self._engine.executor_id not in executors

    async def is_attended(self, run_id: str) -> bool:
        """Whether any live process works on a run, this one included, or a worker is there to do so."""
        return bool(await self._executors(run_id))

    async def _executors(self, run_id: str) -> frozenset[str]:
        """The live processes that work on a run; if none does and a part of it waits, those that could."""
        tree = await self._engine.tree(run_id)
        executors = frozenset(flow.executor for flow in tree if flow.executor and flow.state in _UNFINISHED)
        if executors or not any(flow.state in _WAITING for flow in tree):
            return executors
        return await self._workers()

    async def _workers(self) -> frozenset[str]:
        processes = await anyio.to_thread.run_sync(live_processes, self._leases)
        return frozenset(process.executor for process in processes if process.claims_runs)
