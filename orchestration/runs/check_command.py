"""The command of a check, as its words."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestration.agents.toolchains import command_for_tests
from orchestration.errors import UsageError

AUTOMATIC = "auto"


def check_words(text: str, root: Path) -> list[str]:
    """A check as its words; `auto` stands for the tests of the project in a folder. Raises UsageError."""
    if text != AUTOMATIC:
        return split_command(text)
    found = command_for_tests(root)
    if found is None:
        raise UsageError(
            f"how the tests of {root} are run cannot be told from its files; name the command with --check"
        )
    return list(found)


def split_command(text: str) -> list[str]:
    """A command line as its words, without a shell. Raises UsageError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"expected a command, got '{text}': {error}") from error
    if not words:
        raise UsageError("expected a command, got an empty one")
    return words
