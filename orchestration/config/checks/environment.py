"""What the checks may know of the world outside the file, as a snapshot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from orchestration.config.schema import RuntimeSettings


@dataclass(frozen=True, slots=True)
class CheckEnvironment:
    """`variables`: names of the environment variables with a value; `unwritable`: directories, as the file has them."""

    variables: frozenset[str] = frozenset()
    unwritable: frozenset[str] = frozenset()


def directories(runtime: RuntimeSettings) -> dict[str, str]:
    """The directories that the system writes to, by their key."""
    return {
        "logDirectory": runtime.log_directory,
        "artifactsDirectory": runtime.artifacts_directory,
        "stateDirectory": runtime.state_directory,
    }


def look_around(runtime: RuntimeSettings, root: Path, variables: frozenset[str]) -> CheckEnvironment:
    """Take the snapshot. Relative directories are meant from `root`; nothing is made."""
    unwritable = {name for name in directories(runtime).values() if not _writable(root / name)}
    return CheckEnvironment(variables, frozenset(unwritable))


def _writable(directory: Path) -> bool:
    """Whether the directory, or the nearest one above it that exists, can be written to."""
    try:
        nearest = next(place for place in (directory, *directory.parents) if os.path.lexists(place))
        return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except (OSError, ValueError):  # a part that is too long, or a NUL
        return False
