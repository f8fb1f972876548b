"""Workers: one that stops renewing its lease has stopped working, whatever else it reports."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.events import Event
from orchestration.events.workers import WorkerStarted
from orchestration.storage.leases import Lease, Leases
from orchestration.workflows.processes import control_processes, is_live

PREFIXES = ("worker/", "executor/")
# A lost worker is reported for this long: after ten minutes an incident has been opened, and repeating it adds nothing.
_FORGET_SECONDS = 600.0
# Two renewals: when the database comes back after a while, every lease has run out for a moment.
_SURE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Process:
    """The holder of a lease, by its supervisor's number if it has one, else by the lease's name."""

    worker: str
    pid: int | None


class WorkerWatch:
    """Remembers which workers were alive.

    A lease that was released is no loss. What was lost before this process started was reported by the process before,
    or was that process: its lease may outlive it for some seconds. One whose worker has a successor is forgotten.
    """

    def __init__(self, leases: Leases, clock: Clock) -> None:
        self._leases = leases
        self._clock = clock
        self._alive: dict[str, _Process] = {}
        self._lost: dict[str, tuple[_Process, float]] = {}
        self._supervised: dict[int, str] = {}
        self._newest: dict[str, int] = {}

    def on_event(self, event: Event) -> tuple[Signal, ...]:
        """Learn which process is which worker, when one starts. Safe from any thread."""
        if isinstance(event.payload, WorkerStarted):
            pid, worker = event.payload.pid, str(event.payload.worker)
            self._supervised[pid] = worker
            self._newest[worker] = pid
        return ()

    def collect(self) -> tuple[Signal, ...]:
        """One round of signals. Blocks."""
        now = self._clock.now()
        self._learn()
        leases = {lease.name: lease for prefix in PREFIXES for lease in self._leases.list(prefix)}
        self._update(leases)
        found = [
            Signal("worker_up", now, 1.0, {"worker": process.worker}, dict(leases[name].data))
            for name, process in self._alive.items()
        ]
        found += [
            Signal("worker_up", now, 0.0, {"worker": process.worker}, {"reason": "its lease has run out"})
            for process, _ in self._lost.values()
        ]
        return tuple(found)

    def alive(self) -> frozenset[str]:
        """The workers whose leases were valid in the last round."""
        return frozenset(process.worker for process in self._alive.values())

    def silent(self) -> frozenset[int]:
        """The processes of this host, by number, that are still there although their leases ran out a while ago: they
        do no work any more, whatever they tell their supervisor."""
        now = self._clock.monotonic()
        lost = tuple(self._lost.values())
        return frozenset(one.pid for one, since in lost if one.pid is not None and now - since >= _SURE_SECONDS)

    def _learn(self) -> None:
        """Which process is which worker, of those that had started before anybody listened to events: without it, one
        that was replaced would be reported lost under the name of its lease."""
        here = [one for one in control_processes(self._leases) if one["host"] == socket.gethostname()]
        for worker in (worker for control in here for worker in control["workers"]):
            pid, number = worker["pid"], str(worker["number"])
            # Once for each process: a lease is older than the event of a start.
            if pid is not None and pid not in self._supervised:
                self._supervised[pid], self._newest[number] = number, pid

    def _update(self, leases: dict[str, Lease]) -> None:
        now = self._clock.monotonic()
        valid = {name: lease for name, lease in leases.items() if lease.live}
        live = {name: self._process(one) for name, one in valid.items() if name in self._alive or is_live(one)}
        lost = {name: (process, now) for name, process in self._alive.items() if name not in live}
        self._lost = {
            name: (process, since)
            for name, (process, since) in {**lost, **self._lost}.items()
            if name in leases and name not in live and now - since < _FORGET_SECONDS and not self._succeeded(process)
        }
        self._alive = live

    def _process(self, lease: Lease) -> _Process:
        pid = lease.data.get("pid")
        known = self._supervised.get(pid) if isinstance(pid, int) else None
        # Process numbers mean something on one machine only: a worker of another host may have the same.
        if known is not None and lease.data.get("host", socket.gethostname()) == socket.gethostname():
            return _Process(known, pid)
        return _Process(lease.name.partition("/")[2], None)

    def _succeeded(self, process: _Process) -> bool:
        """Whether another process has taken a worker's place."""
        return process.pid is not None and self._newest.get(process.worker) != process.pid
