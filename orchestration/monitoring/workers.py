"""Watches the workers: whoever stops renewing its lease has stopped working, whatever it says."""

from __future__ import annotations

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.storage.leases import Lease, Leases

PREFIXES = ("worker/", "executor/")
# How long a lost worker is spoken of: until somebody has seen to it, or nobody will.
_FORGET_SECONDS = 600.0


class WorkerWatch:
    """Remembers who was alive. A lease that was given up in order is no loss; one that was dead before we began is
    somebody else's story."""

    def __init__(self, leases: Leases, clock: Clock) -> None:
        self._leases = leases
        self._clock = clock
        self._alive: set[str] = set()
        self._lost: dict[str, float] = {}

    def look(self) -> tuple[Signal, ...]:
        """One round of signals. Blocks."""
        now = self._clock.now()
        leases = {lease.name: lease for prefix in PREFIXES for lease in self._leases.list(prefix)}
        self._note(leases)
        found = [
            Signal("worker_up", now, 1.0, {"worker": _worker(name)}, dict(lease.data))
            for name, lease in leases.items()
            if lease.live
        ]
        found += [
            Signal("worker_up", now, 0.0, {"worker": _worker(name)}, {"reason": "its lease has run out"})
            for name in self._lost
        ]
        return tuple(found)

    def alive(self) -> frozenset[str]:
        """The workers whose leases were good at the last look."""
        return frozenset(_worker(name) for name in self._alive)

    def _note(self, leases: dict[str, Lease]) -> None:
        now = self._clock.monotonic()
        live = {name for name, lease in leases.items() if lease.live}
        expired = leases.keys() - live
        self._lost |= dict.fromkeys(self._alive & expired, now)
        self._lost = {
            name: since for name, since in self._lost.items() if name in expired and now - since < _FORGET_SECONDS
        }
        self._alive = live


def _worker(lease_name: str) -> str:
    return lease_name.partition("/")[2]
