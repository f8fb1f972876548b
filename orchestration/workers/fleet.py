"""The workers as playbooks see them: those of this control process, or those of another one by its lease."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from orchestration.errors import ConflictError
from orchestration.storage.leases import Leases
from orchestration.workers.supervisor import Supervisor
from orchestration.workflows.processes import control_processes

_MEGABYTE = 1_048_576
_HEALTHY_STATES = ("starts", "works")


class SupervisedFleet:
    """The workers of this control process. `silent` gives the processes whose leases have run out: the supervisor hears
    only that their event loops turn."""

    def __init__(self, supervisor: Supervisor, silent: Callable[[], Collection[int]]) -> None:
        self._supervisor = supervisor
        self._silent = silent

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """One record for each worker that has a process."""
        return _records((worker.as_json() for worker in self._supervisor.workers), self._silent())

    def wanted(self) -> int:
        """How many workers there should be."""
        return len(self._supervisor.workers)

    async def replace(self, worker: str, reason: str) -> None:  # noqa: ARG002 (the supervisor reports a reason of its own)
        """Kill a worker with its process group; another one takes its place."""
        self._supervisor.replace(int(worker))


class LeasedFleet:
    """The workers of any live control process, read from its lease. They cannot be replaced from here."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    def workers(self) -> Sequence[Mapping[str, Any]]:
        """One record for each worker that has a process."""
        return _records(worker for control in control_processes(self._leases) for worker in control["workers"])

    def wanted(self) -> int:
        """How many workers there should be."""
        return sum(len(control["workers"]) for control in control_processes(self._leases))

    async def replace(self, worker: str, reason: str) -> None:  # noqa: ARG002
        """Raises ConflictError: only the process that started a worker can replace it."""
        raise ConflictError(f"Worker {worker} belongs to another process. Only its control process can replace it.")


def _records(workers: Iterable[Mapping[str, Any]], silent: Collection[int] = ()) -> list[Mapping[str, Any]]:
    return [
        {
            "worker": str(worker["number"]),
            "pid": worker["pid"],
            "doing": worker["doing"],
            "memory_bytes": worker["memoryMb"] * _MEGABYTE,
            "healthy": worker["state"] in _HEALTHY_STATES and worker["pid"] not in silent,
        }
        for worker in workers
        if worker["pid"] is not None
    ]
