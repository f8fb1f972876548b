"""What the container may use and does use, from control groups (version 2, or 1, or both beside each other).

Formats: the Linux kernel's documents cgroup-v2 and cgroup-v1 (memory, cpuacct, and `cpu.cfs_quota_us` in sched-bwc).
The limits of all groups above ours hold as well, so the smallest on the way up is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")
# Version 1 writes "no limit" as the largest number of whole pages.
_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """What is known of our group; None where it has no limit, or its figures cannot be read.

    `cpu_seconds` is processor time used since the group was made; `memory_used` is without the page cache that the
    kernel can drop at once.
    """

    cpus: float | None = None
    cpu_seconds: float | None = None
    memory_limit: int | None = None
    memory_used: int | None = None


def read(root: Path = ROOT, membership: Path = _SELF) -> CgroupUsage:
    """Our group as it is now. Never fails: what is not there is None."""
    groups = _groups(_text(membership))
    unified = _unified(root)
    usage = CgroupUsage()
    if unified is not None:
        usage = _version_2(unified, _place(unified, groups.get("", "/")))
    return _version_1(root, groups, usage)


def _version_2(root: Path, place: Path) -> CgroupUsage:
    # The interface files: https://docs.kernel.org/admin-guide/cgroup-v2.html
    cpus = [quota for group in _upwards(root, place) if (quota := _quota_2(_text(group / "cpu.max"))) is not None]
    limit, limited = _tightest([(group, _number(group / "memory.max")) for group in _upwards(root, place)])
    microseconds = _table(place / "cpu.stat").get("usage_usec")
    # Of the group that has the limit, which need not be ours: whatever else is in it counts against the limit, too.
    used = _number(limited / "memory.current") if limited else None
    # As kubelet and `docker stats` count it: inactive file cache is dropped before anything is killed.
    idle = _table(limited / "memory.stat").get("inactive_file", 0) if limited else 0
    return CgroupUsage(
        cpus=min(cpus, default=None),
        cpu_seconds=None if microseconds is None else microseconds / 1e6,
        memory_limit=limit,
        memory_used=None if used is None else max(0, used - idle),
    )


def _version_1(root: Path, groups: Mapping[str, str], usage: CgroupUsage) -> CgroupUsage:
    """Fill in what version 2 does not tell: a controller belongs to one version only."""
    cpus, seconds, limit, used = usage.cpus, usage.cpu_seconds, usage.memory_limit, usage.memory_used
    if cpus is None and (cpu := _hierarchy(root, "cpu")):
        quotas = [_quota_1(group) for group in _upwards(cpu, _place(cpu, groups.get("cpu", "/")))]
        cpus = min((quota for quota in quotas if quota is not None), default=None)
        # Use counts beside the limit of its own hierarchy: that of version 2 may be the whole machine's.
        seconds = seconds if cpus is None else None
    if seconds is None and (account := _hierarchy(root, "cpuacct")):
        nanoseconds = _number(_place(account, groups.get("cpuacct", "/")) / "cpuacct.usage")
        seconds = None if nanoseconds is None else nanoseconds / 1e9
    if limit is None and (memory := _hierarchy(root, "memory")):
        places = _upwards(memory, _place(memory, groups.get("memory", "/")))
        limit, limited = _tightest([(group, _number(group / "memory.limit_in_bytes")) for group in places])
        if limited is not None and (whole := _number(limited / "memory.usage_in_bytes")) is not None:
            # In version 1 only the `total_` figures include the groups below, as the use itself does.
            used = max(0, whole - _table(limited / "memory.stat").get("total_inactive_file", 0))
    return CgroupUsage(cpus, seconds, limit, used)


def _groups(text: str) -> dict[str, str]:
    """`/proc/self/cgroup`: our place by controller; version 2's has the empty name."""
    places: dict[str, str] = {}
    for line in text.splitlines():
        # At the first two colons only: the path that follows may hold more of them, see cgroups(7).
        _, _, rest = line.partition(":")
        controllers, _, place = rest.partition(":")
        places |= dict.fromkeys(controllers.split(","), place)
    return places


def _unified(root: Path) -> Path | None:
    """Where version 2 is mounted: alone, or beside version 1."""
    return next((place for place in (root, root / "unified") if (place / "cgroup.controllers").exists()), None)


def _hierarchy(root: Path, controller: str) -> Path | None:
    # Distributions mount these two together and link their single names to it; some containers lack the links.
    for name in (controller, "cpu,cpuacct"):
        if (root / name).is_dir() and (name == controller or controller in name.split(",")):
            return root / name
    return None


def _place(root: Path, place: str) -> Path:
    """Our group's folder; inside a container the group may be mounted as the root, whatever its name outside."""
    inside = root / place.strip("/")
    # A path with `..` leads out of our cgroup namespace, see cgroup_namespaces(7), so only the root can be read.
    return inside if ".." not in place and inside.is_dir() else root


def _upwards(root: Path, place: Path) -> Iterator[Path]:
    yield place
    while place not in (root, place.parent):
        place = place.parent
        yield place


def _tightest(limits: list[tuple[Path, int | None]]) -> tuple[int | None, Path | None]:
    """The smallest limit and the group that has it."""
    real = [(limit, group) for group, limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(real, key=lambda one: one[0], default=(None, None))


def _quota_2(text: str) -> float | None:
    """`cpu.max`: microseconds in a period, then the period; `max` for no limit."""
    words = text.split()
    numbers = [int(word) for word in words if word.isdecimal()]
    return numbers[0] / numbers[1] if len(words) == len(numbers) == 2 and numbers[1] else None


def _quota_1(group: Path) -> float | None:
    quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
    # Version 1 writes -1 for a group without a quota.
    return quota / period if quota is not None and quota > 0 and period else None


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
