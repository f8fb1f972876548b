"""A small repository with real bugs and failing tests, for the first run on a new machine and for drills."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import UsageError

GOAL = (
    "Work off docs/backlog.md of tallybook: repair both bugs, so that all tests pass, and note them in the changelog."
)
TEST_COMMAND = ("python3", "-m", "unittest")

# The name is no Python identifier on purpose: the sample must not be taken for a part of this package.
_SOURCE = Path(__file__).with_name("tally-book")


@dataclass(frozen=True, slots=True)
class SampleGoal:
    """What to ask for, the folder to work in, and the command that tells whether it was done."""

    goal: str
    workspace: Path
    test_command: tuple[str, ...]


def copy_to(directory: Path) -> SampleGoal:
    """Put a fresh copy of the sample into `directory`, which must be new or empty (UsageError otherwise)."""
    workspace = directory.resolve()
    if workspace.exists() and (not workspace.is_dir() or any(workspace.iterdir())):
        raise UsageError(f"expected a new or empty folder for the sample, got {workspace}; name another one")
    # Compiled files are left by tests that were run in the source itself, and belong to no fresh project.
    shutil.copytree(_SOURCE, workspace, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    return SampleGoal(GOAL, workspace, TEST_COMMAND)
