"""A snapshot of the environment, so that the checks themselves touch neither disk nor process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestration.config.runtime import RuntimeSettings


@dataclass(frozen=True, slots=True)
class CheckEnvironment:
    """`variables` are the environment variables that have a value; `unwritable` are directories as the file names
    them."""

    variables: frozenset[str] = frozenset()
    unwritable: frozenset[str] = frozenset()


def directories(runtime: RuntimeSettings) -> dict[str, str]:
    """The directories that the system writes to, by key."""
    return {
        "logDirectory": runtime.log_directory,
        "artifactsDirectory": runtime.artifacts_directory,
        "stateDirectory": runtime.state_directory,
    }


def inspect_environment(runtime: RuntimeSettings, root: Path, variables: frozenset[str]) -> CheckEnvironment:
    """Take the snapshot. Relative directories start at `root`; nothing is created."""
    unwritable = {name for name in directories(runtime).values() if not _writable(root / name)}
    return CheckEnvironment(variables, frozenset(unwritable))


def _writable(directory: Path) -> bool:
    """Whether the directory, or the nearest existing one above it, is writable."""
    try:
        # `lexists`, because a broken link is in the way of a folder, and `exists` would pass it over.
        nearest = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
        return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except (OSError, ValueError):  # a part of the path is too long, or contains a NUL
        return False
