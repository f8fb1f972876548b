"""The processes that execute runs. Each holds a lease as long as it lives; this module only reads the leases."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import psutil

from orchestration.storage.leases import Lease, Leases

LEASE_PREFIX = "executor/"
CONTROL_PREFIX = "control/"


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """How a worker presents itself. It works on runs unless `only_labels`, and on agents that run on one of its
    `labels`; on `capacity` of each at once, if that is limited. When it is stopped, it goes on for up to
    `drain_seconds` with what it has begun."""

    name: str = ""
    labels: tuple[str, ...] = ()
    capacity: int | None = None
    only_labels: bool = False
    drain_seconds: float = 0.0

    def serves(self, label: str | None) -> bool:
        """Whether it works on agents that run on this label; None stands for all others, and for runs."""
        return label in self.labels if label else not self.only_labels


NO_PROFILE = WorkerProfile()


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A process that executes runs; `shared` if it claims any waiting run (a worker), unless it is `draining`. The
    profile is that of a worker that was started by hand; `version` is its release."""

    executor: str
    host: str
    pid: int
    shared: bool
    profile: WorkerProfile = NO_PROFILE
    version: str = ""
    draining: bool = False
    busy: int = 0

    @property
    def claims_runs(self) -> bool:
        return self.claims(None)

    def claims(self, label: str | None) -> bool:
        """Whether it takes agents that run on this label; None stands for all others, and for runs."""
        return self.shared and not self.draining and self.profile.serves(label)


def live_processes(leases: Leases) -> tuple[LiveProcess, ...]:
    """The live processes: their lease is valid, and if they are on this host, they exist."""
    found = (lease for lease in leases.list(LEASE_PREFIX) if is_live(lease))
    return tuple(_live_process(lease) for lease in found)


def _live_process(lease: Lease) -> LiveProcess:
    data = lease.data
    profile = {**data.get("profile", {}), "labels": tuple(data.get("profile", {}).get("labels", ()))}
    return LiveProcess(
        lease.holder,
        data["host"],
        data["pid"],
        bool(data.get("shared")),
        WorkerProfile(**profile),
        str(data.get("version", "")),
        bool(data.get("draining")),
        int(data.get("busy", 0)),
    )


def control_processes(leases: Leases) -> tuple[dict[str, Any], ...]:
    """The live control processes, each with its host, process id, workers, and the URL that it serves (empty for
    none)."""
    found = (lease.data for lease in leases.list(CONTROL_PREFIX) if is_live(lease))
    return tuple(
        {"host": one["host"], "pid": one["pid"], "workers": one["workers"], "url": one.get("url", "")} for one in found
    )


@functools.cache
def release() -> str:
    """The release of this program, by which workers are told apart during an upgrade."""
    try:
        return metadata.version("agent-orchestration")
    except metadata.PackageNotFoundError:  # run from its source
        return "source"


def this_process(**data: Any) -> Mapping[str, Any]:
    """The data of a process in its lease, from which others on its host can see at once whether it is gone."""
    return {"host": socket.gethostname(), **start_of(os.getpid()), **data}


def start_of(pid: int) -> Mapping[str, Any]:
    """The id of a process on this host and when it was started. Raises psutil.NoSuchProcess."""
    started = psutil.Process(pid).create_time()
    # Since the boot: by the time of day it is another one once the clock is set. Earlier releases read `started`.
    return {"pid": pid, "started": started, "since_boot": started - psutil.boot_time()}


def is_live(lease: Lease) -> bool:
    """Whether a lease is valid and its holder, if on this host, exists: a crash is noticed before the lease expires."""
    return lease.live and not _is_gone(lease)


def _is_gone(lease: Lease) -> bool:
    # The processes of another host cannot be seen from here; there the lease has to expire.
    if lease.data.get("host") != socket.gethostname():
        return False
    try:
        # Process ids are reused: only the same start time makes it the same process.
        # A second of tolerance: the start is computed from the machine's boot time, which Linux gives in whole seconds
        # (proc_stat(5)).
        there = start_of(lease.data["pid"])
        key = "since_boot" if "since_boot" in lease.data else "started"
        return bool(abs(there[key] - lease.data[key]) > 1)
    except psutil.NoSuchProcess:
        return True
