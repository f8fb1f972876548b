"""A small file system for drills that fill it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.drills.processes import DrillError


@contextmanager
def small_disk(folder: Path, megabytes: int | None) -> Iterator[None]:
    """Mount a file system of that size, in memory, over the folder for as long as the block lasts; without a size the
    folder stays as it is. Raises DrillError if that is impossible."""
    if megabytes is None:
        yield
        return
    _call("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "drill", str(folder))
    try:
        yield
    finally:
        # Lazily: a process of the drill that is still ending keeps files open, which would refuse an ordinary unmount.
        _call("umount", "--lazy", str(folder))


def remount(folder: Path) -> Callable[[], None]:
    """Mount a folder over itself, read-only; returns how to undo it. Raises DrillError if that is impossible."""
    _call("mount", "--bind", str(folder), str(folder))
    # A bind mount takes over the flags of the file system; only a remount changes them: mount(8), "Bind mounts".
    _call("mount", "-o", "remount,bind,ro", str(folder))
    return lambda: _call("umount", "--lazy", str(folder))


def mounts_below(folder: Path) -> list[str]:
    """Where anything is still mounted in a folder: proc_pid_mountinfo(5), fifth field."""
    mounts = Path("/proc/self/mountinfo")
    points = [line.split()[4] for line in mounts.read_text().splitlines()] if mounts.exists() else []
    return [point for point in points if Path(point).is_relative_to(folder)]


def _call(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no data but a folder)
    if ended.returncode:
        raise DrillError(f"expected a small file system, got: {ended.stderr.strip() or command[0]}")
