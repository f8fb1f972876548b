"""A share of the machine for drills that use it up: a control group with limits of its own.

Both versions of the kernel's interface: https://docs.kernel.org/admin-guide/cgroup-v2.html, and version 1 for hosts and
containers that still mount one hierarchy per controller.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import anyio

from orchestration.drills.processes import DrillError

_ROOT = Path("/sys/fs/cgroup")
_MEGABYTE = 1_048_576
# In microseconds; the kernel's own default period.
_PERIOD = 100_000
# Ten times the default weight: the drill gets its share although the machine is busy.
_WEIGHT_FACTOR = 10
_LEAVE_SECONDS = 10.0


class ControlGroup:
    """One group: a folder in version 2, one per controller in version 1."""

    def __init__(self, limits: dict[Path, str]) -> None:
        """Create it. Raises DrillError if that is impossible."""
        self._folders = tuple(dict.fromkeys(file.parent for file in limits))
        try:
            for folder in self._folders:
                folder.mkdir()
            for file, value in limits.items():
                file.write_text(value)
        except OSError as error:
            self.try_to_remove()
            raise DrillError(f"expected a control group with limits, got: {error}") from error

    def add(self, pid: int) -> None:
        """Move a process into the group, with everything that it will start."""
        for folder in self._folders:
            # A process may end between being listed and being moved.
            with contextlib.suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(pid))

    async def remove(self) -> None:
        """Remove it as soon as its last process is gone."""
        with anyio.move_on_after(_LEAVE_SECONDS):
            while not self.try_to_remove():  # noqa: ASYNC110 (the kernel tells nobody)
                await anyio.sleep(0.05)

    def try_to_remove(self) -> bool:
        """Whether it is gone. The kernel keeps a group while a process is in it."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self._folders)


def make(memory_mb: int | None, cpus: float | None) -> ControlGroup:
    """Create a group with these limits. Raises DrillError if that is impossible."""
    return ControlGroup(dict(_limits(f"drill-{secrets.token_hex(6)}", memory_mb, cpus)))


def impossible(memory_mb: int | None = None, cpus: float | None = None) -> str:
    """Why there can be no such group on this machine; empty if there can."""
    # Tried rather than guessed from the user: in a container, root may find `/sys/fs/cgroup` mounted read-only.
    try:
        group = make(memory_mb, cpus)
    except DrillError as error:
        return f"a control group can be made as root on Linux only ({error})"
    group.try_to_remove()
    return ""


def _limits(name: str, memory_mb: int | None, cpus: float | None) -> Iterator[tuple[Path, str]]:
    """The files of the limits, with their contents."""
    # Version 2 has this file in its root; version 1 has a folder for each controller there instead.
    second = (_ROOT / "cgroup.controllers").exists()
    if memory_mb is not None:
        place = _ROOT / name / "memory.max" if second else _ROOT / "memory" / name / "memory.limit_in_bytes"
        yield place, str(memory_mb * _MEGABYTE)
    # The default weight is 100 in version 2 (`cpu.weight`) and 1024 in version 1 (`cpu.shares`).
    if cpus is not None and second:
        yield _ROOT / name / "cpu.max", f"{int(cpus * _PERIOD)} {_PERIOD}"
        yield _ROOT / name / "cpu.weight", str(100 * _WEIGHT_FACTOR)
    elif cpus is not None:
        yield _ROOT / "cpu" / name / "cpu.cfs_quota_us", str(int(cpus * _PERIOD))
        yield _ROOT / "cpu" / name / "cpu.shares", str(1024 * _WEIGHT_FACTOR)
        # Our own collector measures a group of version 1 by the accounting controller: a group needs one there too.
        yield _ROOT / "cpuacct" / name / "cpuacct.usage", "0"
