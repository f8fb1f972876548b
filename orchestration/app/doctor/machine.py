"""The machine: Python, SQLite, git, disk space, folders, the log, the clock."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from orchestration.app.doctor.diagnosis import CheckResult, ok, problem, warning
from orchestration.config.schema import Configuration

_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 35, 0)  # the first with INSERT … RETURNING
_LEAST_FREE_BYTES = 200 * 1_048_576
_CLOCK_TOLERANCE_SECONDS = 300
_GIGABYTE = 1_073_741_824


def check(configuration: Configuration, root: Path, now: datetime) -> Iterator[CheckResult]:
    """All checks of the machine."""
    yield python(sys.version_info[:2])
    yield sqlite(sqlite3.sqlite_version_info)
    yield git(shutil.which("git"))
    usage = shutil.disk_usage(_nearest(root))
    yield disk(usage.free, usage.total, configuration.monitoring.thresholds.disk_free_percent)
    runtime = configuration.runtime
    for key, name in (
        ("stateDirectory", runtime.state_directory),
        ("artifactsDirectory", runtime.artifacts_directory),
        ("logDirectory", runtime.log_directory),
    ):
        yield folder(key, root / name)
    yield log(root / runtime.log_directory / "orchestrator.log")
    yield clock(now, _newest(root))


def python(version: tuple[int, ...]) -> CheckResult:
    """Whether Python is recent enough."""
    if version < _OLDEST_PYTHON:
        return problem("python", platform.python_version(), "install Python 3.11 or newer")
    return ok("python", f"{platform.python_version()} ({sys.executable})")


def sqlite(version: tuple[int, ...]) -> CheckResult:
    """Whether Python's SQLite is recent enough."""
    text = ".".join(map(str, version))
    if version < _OLDEST_SQLITE:
        return problem("sqlite", text, "use a Python with SQLite 3.35 or newer, or PostgreSQL (databaseUrlEnv)")
    return ok("sqlite", text)


def git(path: str | None) -> CheckResult:
    """Whether git is installed: it keeps the history of each workspace."""
    if path is None:
        return problem("git", "not found", "install it: apt-get install git")
    return ok("git", path)


def disk(free: int, total: int, threshold_percent: float) -> CheckResult:
    """Whether there is disk space, given in bytes."""
    percent = 100 * free / total if total else 0.0
    found = f"{free / _GIGABYTE:.1f} GB free ({percent:.0f} %)"
    advice = "clean up: find logs/ -mtime +7 -delete; find artifacts/ -mtime +7 -delete"
    if free < _LEAST_FREE_BYTES:
        return problem("disk space", found, advice)
    return warning("disk space", found, advice) if percent < threshold_percent else ok("disk space", found)


def folder(key: str, path: Path) -> CheckResult:
    """Whether a folder is writable or can be created. An existing one is tried: access rights alone do not show a full
    or read-only file system."""
    nearest = _nearest(path)
    advice = f"make it writable for this user, or set another folder in runtime.{key}"
    if not nearest.is_dir():
        return problem(key, f"{nearest} is not a folder", advice)
    try:
        if nearest == path:
            with tempfile.TemporaryFile(dir=path):
                pass
    except OSError as error:
        return problem(key, f"{path}: {error.strerror}", advice)
    if not os.access(nearest, os.W_OK | os.X_OK):
        return problem(key, f"{path} cannot be created", advice)
    return ok(key, str(path))


def log(path: Path) -> CheckResult:
    """Whether the log is writable."""
    advice = "make it writable for this user, or move it away"
    try:
        # Opened for appending, and nothing is written: the check must not change the log.
        if path.exists():
            with path.open("ab"):
                pass
    except OSError as error:
        return problem("log", f"{path}: {error.strerror}", advice)
    return ok("log", str(path))


def clock(now: datetime, newest: tuple[Path, datetime] | None) -> CheckResult:
    """Whether the clock is plausible: no file of the project is from the future."""
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if newest is not None and (newest[1] - now).total_seconds() > _CLOCK_TOLERANCE_SECONDS:
        found = f"{text}, but {newest[0]} was written at {newest[1]:%Y-%m-%d %H:%M:%S} UTC"
        return problem("clock", found, "set the clock: deadlines and schedules depend on it")
    return ok("clock", text)


def _newest(root: Path) -> tuple[Path, datetime] | None:
    # This package was installed before now, so its own file is a lower bound even in an empty project.
    files = [Path(__file__), *(root / name for name in ("config/agents.config.json", ".env", "var/orchestrator.db"))]
    written = [(file, datetime.fromtimestamp(file.stat().st_mtime, UTC)) for file in files if file.is_file()]
    return max(written, key=lambda one: one[1], default=None)


def _nearest(path: Path) -> Path:
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
