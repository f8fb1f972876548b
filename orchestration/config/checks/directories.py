"""The directories that the system writes to. Clean-up deletes there, so a wrong one is dangerous. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from orchestration.config.checks.environment import CheckEnvironment, directories
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration


def check(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Every directory is inside the project (or absolute), has one purpose, and is writable."""
    seen: dict[str, str] = {}
    for key, name in directories(configuration.runtime).items():
        path = ("runtime", key)
        # Normalised, because `logs`, `./logs` and `artifacts/../logs` are one folder.
        normal = normpath(name)
        if not name.strip() or normal in (".", "/") or PurePosixPath(normal).parts[0] == "..":
            expected = "a folder inside the project, or an absolute path"
            yield Problem(FindingCode.BAD_DIRECTORY, path, f'{key} is "{name}"', expected)
        elif normal in seen:
            hint = "Clean-up deletes from each by different rules."
            yield Problem(
                FindingCode.BAD_DIRECTORY, path, f"{key} is the same as {seen[normal]}", "a folder for each", hint
            )
        elif name in environment.unwritable:
            hint = "Change its owner or permissions, or use another directory."
            yield Problem(FindingCode.UNWRITABLE_DIRECTORY, path, f'{key} "{name}" is not writable', hint=hint)
        seen.setdefault(normal, key)
