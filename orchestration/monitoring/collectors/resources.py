"""Processor, memory and disk, as far as they are ours to use: a container's limit counts, not the machine's size."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.monitoring.collectors import cgroup, processes
from orchestration.monitoring.collectors.processes import Leak, MemoryWatch, ProcessUse, TopProcesses

# From here on the processes that use most are worth listing; it takes a quarter of a second, so not every round.
_LOOK_CLOSER_PERCENT = 80.0
_TOP = 5
# Half of what is kept of each process: a leak shows by many measurements, whatever time it is given.
_MEASUREMENTS = 20


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """A file system that we write to: what is free, of bytes and of files."""

    path: str
    free_percent: float
    free_bytes: int
    total_bytes: int
    free_files_percent: float


@dataclass(frozen=True, slots=True)
class ResourceSnapshot:
    """Everything at one moment. `limited` says whether a container's limits are what the percentages are of."""

    host: str
    cpu_percent: float | None
    cpus: float
    memory_percent: float
    memory_used: int
    memory_total: int
    limited: bool
    load: tuple[float, float, float]
    disks: tuple[DiskUsage, ...]
    top: tuple[ProcessUse, ...] = ()
    leaks: tuple[Leak, ...] = ()

    def as_json(self) -> dict[str, object]:
        """For evidence and for the console."""
        return asdict(self)


class ResourceCollector:
    """Measures. The processor's use is the one between two rounds."""

    def __init__(
        self,
        clock: Clock,
        folders: Sequence[Path],
        redact: Callable[[str], str],
        usage: Callable[[], cgroup.CgroupUsage] = cgroup.read,
        leak_seconds: Callable[[], float] = lambda: processes.LEAK_SECONDS,
    ) -> None:
        self._clock = clock
        self._folders = folders
        self._redact = redact
        self._usage = usage
        self._host = socket.gethostname()
        self._leak_seconds = leak_seconds
        self._memory = MemoryWatch(redact, leak_seconds)
        self._top = TopProcesses(_TOP, redact, clock)
        self._memory_at = float("-inf")
        self._before: tuple[float, float] | None = None
        self._cpu: float | None = None
        self._leaks: tuple[Leak, ...] = ()

    def snapshot(self) -> ResourceSnapshot:
        """Everything now, with the processes that use most of it. Blocks for a quarter of a second.

        The processor's use is that of the last round; without one, that while the processes were measured.
        """
        measured = self._cpu is not None
        if not measured:
            self._measure_cpu(self._usage())
        top = processes.top(_TOP, self._redact, self._clock)
        usage = self._usage()
        if not measured:
            self._measure_cpu(usage)
        return self._seen(usage, top)

    def collect(self) -> tuple[Signal, ...]:
        """One round of signals; the processes that use most are listed when use is high. Blocks."""
        if self._clock.monotonic() - self._memory_at >= self._leak_seconds() / _MEASUREMENTS:
            self._memory_at = self._clock.monotonic()
            self._leaks = self._memory.measure(self._memory_at)
        usage = self._usage()
        self._measure_cpu(usage)
        seen = self._seen(usage)
        evidence: dict[str, object] = {"load": list(seen.load), "leaks": [asdict(leak) for leak in seen.leaks]}
        if max(seen.cpu_percent or 0.0, seen.memory_percent) >= _LOOK_CLOSER_PERCENT:
            evidence["top"] = [asdict(process) for process in self._top.read()]
        return tuple(self._signals(seen, evidence))

    def _seen(self, usage: cgroup.CgroupUsage, top: tuple[ProcessUse, ...] = ()) -> ResourceSnapshot:
        machine = psutil.virtual_memory()
        limits = memory_of(usage, machine.total)
        used, total = limits or (machine.total - machine.available, machine.total)
        return ResourceSnapshot(
            host=self._host,
            cpu_percent=self._cpu,
            cpus=usage.cpus or float(os.cpu_count() or 1),
            memory_percent=round(100 * used / total, 1),
            memory_used=used,
            memory_total=total,
            limited=limits is not None or usage.cpus is not None,
            load=os.getloadavg(),
            disks=disks(self._folders),
            top=top,
            leaks=self._leaks,
        )

    def _signals(self, seen: ResourceSnapshot, evidence: Mapping[str, object]) -> Iterable[Signal]:
        now, host = self._clock.now(), {"host": seen.host}
        if seen.cpu_percent is not None:
            yield Signal("cpu_percent", now, seen.cpu_percent, host, {**evidence, "cpus": seen.cpus})
        of = {"used_bytes": seen.memory_used, "total_bytes": seen.memory_total}
        yield Signal("memory_percent", now, seen.memory_percent, host, {**evidence, **of})
        for disk in seen.disks:
            # A file system without a free inode refuses new files just as a full one does.
            free = min(disk.free_percent, disk.free_files_percent)
            room = f"{_megabytes(disk.free_bytes)} of {_megabytes(disk.total_bytes)}"
            yield Signal("disk_free_percent", now, free, {**host, "path": disk.path}, {**asdict(disk), "free": room})

    def _measure_cpu(self, usage: cgroup.CgroupUsage) -> None:
        """Use since the measurement before; unknown at the first. Where only the machine limits us, all of it
        counts."""
        now, cpus = self._clock.monotonic(), usage.cpus
        used = usage.cpu_seconds
        if cpus is None or used is None:
            cpus, used = float(os.cpu_count() or 1), _machine_cpu_seconds()
        before, self._before = self._before, (now, used)
        if before is not None and (percent := share_of_cpu(before, self._before, cpus)) is not None:
            self._cpu = percent


def _megabytes(count: int) -> str:
    return f"{count / 1_048_576:,.0f} MB"


def _machine_cpu_seconds() -> float:
    """Processor time that all processes of the machine have used; what a virtual machine's host took counts too."""
    # Waiting for a disk is idle time, and guest time is part of user time already: proc_stat(5).
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def share_of_cpu(before: tuple[float, float], after: tuple[float, float], cpus: float) -> float | None:
    """Percent of `cpus` processors used between two moments, each (seconds, processor seconds); None without time."""
    possible = max(0.0, after[0] - before[0]) * max(0.0, cpus)
    if not possible:
        return None
    return round(min(100.0, max(0.0, 100 * (after[1] - before[1]) / possible)), 1)


def memory_of(usage: cgroup.CgroupUsage, machine: int) -> tuple[int, int] | None:
    """Bytes used and bytes there are by a container's limit; None without one. One beyond the machine is none."""
    limit, used = usage.memory_limit, usage.memory_used
    return (used, limit) if limit and used is not None and limit < machine else None


def disks(folders: Iterable[Path]) -> tuple[DiskUsage, ...]:
    """The file systems of these folders, each once, by the first folder on it.

    For a folder that does not exist yet, its nearest existing parent counts.
    """
    seen: dict[int, DiskUsage] = {}
    for folder in folders:
        place = next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
        try:
            device, found = place.stat().st_dev, os.statvfs(place)
        except OSError:
            continue
        # As `df` counts: blocks reserved for root are neither used nor free to us.
        usable = found.f_blocks - found.f_bfree + found.f_bavail
        # Some file systems, such as btrfs, make inodes as they need them and report none at all.
        files = 100.0 * found.f_favail / found.f_files if found.f_files else 100.0
        free = 100.0 * found.f_bavail / usable if usable else 100.0
        total = usable * found.f_frsize
        disk = DiskUsage(str(folder), round(free, 2), found.f_bavail * found.f_frsize, total, round(files, 2))
        seen.setdefault(device, disk)
    return tuple(seen.values())
