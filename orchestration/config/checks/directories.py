"""Where the system writes: clean-up deletes there, so a wrong directory is dangerous. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from posixpath import normpath

from orchestration.config.checks.environment import CheckEnvironment, directories
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration


def check(configuration: Configuration, surroundings: CheckEnvironment) -> Iterator[Problem]:
    """Directories inside the project (or absolute), each with one purpose, writable."""
    seen: dict[str, str] = {}
    for key, name in directories(configuration.runtime).items():
        path = ("runtime", key)
        normal = normpath(name)
        if not name.strip() or normal in (".", "/") or PurePosixPath(normal).parts[0] == "..":
            expected = "a folder inside the project, or an absolute path"
            yield Problem(FindingCode.BAD_DIRECTORY, path, f'{key} is "{name}"', expected)
        elif normal in seen:
            hint = "Clean-up works on each by itself."
            yield Problem(
                FindingCode.BAD_DIRECTORY, path, f"{key} is the same as {seen[normal]}", "one folder for each", hint
            )
        elif name in surroundings.unwritable:
            hint = "Change its owner or its rights, or name another."
            yield Problem(FindingCode.UNWRITABLE_DIRECTORY, path, f'{key} "{name}" cannot be written to', hint=hint)
        seen.setdefault(normal, key)
