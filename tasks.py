"""The `invoke` tasks of this repository: those of the playbook, and the tests."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
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
from tests.support.patience import processor_speed

__all__ = [
    "coordinator_run",
    "demo",
    "release",
    "run_executor",
    "run_parallel",
    "run_planner",
    "run_reviewer",
    "test",
    "validate_config",
]

_BIN = Path(sys.executable).parent


# The slowest first, since two are made at once. To collect the tests writes the compiled modules that five test
# processes would otherwise each make for themselves.
_CHECKS = (
    "mypy",
    "python -m pytest --collect-only --quiet --no-header",
    "ruff check .",
    "ruff format --check .",
    "lint-imports --no-logo",
    "deptry .",
    "codespell",
)
_AT_ONCE = 2
# Most of the time tests wait for real processes, so five at once suit two cores. On slow ones they wait for the
# processors: more at once would end no sooner, and each would take longer for the others.
_TESTS_AT_ONCE = 5
_TESTS_AT_ONCE_WHEN_SLOW = 3
_SLOW = 0.7  # of the usual speed


@task(help={"only": "arguments for pytest, to run a part", "fast": "leave out the checks of style and types"})
def test(_: Context, only: str = "", fast: bool = False) -> None:  # noqa: PT028 (a task, not a test)
    """Run every check and every test."""
    # Meanwhile, since to download and unpack takes little of the processors.
    with subprocess.Popen([_BIN / "python", "-m", "tests.support.debian"]):  # noqa: S603 (words of ours)
        if not fast and not only:
            _check()
    at_once = _TESTS_AT_ONCE if processor_speed() >= _SLOW else _TESTS_AT_ONCE_WHEN_SLOW
    # A file's tests share a server. The order is that of `tests/conftest.py`: the longest first.
    arguments = only.split() or [f"--numprocesses={at_once}", "--dist=loadfile", "--no-loadscope-reorder"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606 (no shell is wanted)


def _check() -> None:
    """Make every check, and exit with what those that failed have said."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        made = list(pool.map(_result, _CHECKS))
    failed = [one for one in made if one.returncode]
    for one in failed:
        sys.stdout.write(f"{shlex.join(one.args)}\n{one.stdout}\n")
    if failed:
        raise Exit(f"{len(failed)} of {len(made)} checks failed", code=1)


def _result(command: str) -> subprocess.CompletedProcess[str]:
    program, *arguments = command.split()
    sys.stdout.write(f"{command}\n")
    words = [str(_BIN / program), *arguments]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # noqa: S603


@task
def release(_: Context) -> None:
    """Build what is published, into dist/: archives and checksums. The same commit gives the same bytes."""
    folder = Path("dist")
    shutil.rmtree(folder, ignore_errors=True)
    last_commit = ["git", "log", "-1", "--format=%ct"]
    committed = subprocess.run(last_commit, check=True, capture_output=True, text=True)  # noqa: S603 (words of ours)
    # https://reproducible-builds.org/specs/source-date-epoch/
    environment = {**os.environ, "SOURCE_DATE_EPOCH": committed.stdout.strip()}
    subprocess.run([_BIN / "python", "-m", "hatchling", "build", "-d", folder], check=True, env=environment)  # noqa: S603 (words of ours)
    sums = [f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
