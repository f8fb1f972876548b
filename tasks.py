"""The `invoke` tasks of this repository: those of the playbook, and the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from orchestration.cli.tasks import (
    coordinator_run,
    demo,
    run_executor,
    run_parallel,
    run_planner,
    run_reviewer,
    validate_config,
)

__all__ = [
    "coordinator_run",
    "demo",
    "run_executor",
    "run_parallel",
    "run_planner",
    "run_reviewer",
    "test",
    "validate_config",
]

_BIN = Path(sys.executable).parent


@task(help={"only": "arguments for pytest, to run a part", "fast": "leave out the checks of style and types"})
def test(context: Context, only: str = "", fast: bool = False) -> None:  # noqa: PT028 (a task, not a test)
    """Run every check and every test."""
    if not fast and not only:
        for command in (
            "ruff check .",
            "ruff format --check .",
            "mypy",
            "lint-imports --no-logo",
            "deptry .",
            "codespell",
        ):
            context.run(f"{_BIN}/{command}", echo=True)
    context.run(f"{_BIN}/python -m tests.support.debian")
    # Most of the time tests wait for real processes, so four at once suit two cores; a file's tests share a server.
    # The order is that of `tests/conftest.py`: the longest first.
    arguments = only.split() or ["--numprocesses=4", "--dist=loadfile", "--no-loadscope-reorder"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606 (no shell is wanted)
