"""The table of all run commands, from which console, API, client and pages are built."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.commands.discovery import commands_of
from orchestration.runs import commands
from orchestration.runs.commands.base import RunCommand

RUN_COMMANDS: Mapping[str, type[RunCommand]] = commands_of(commands, RunCommand)  # type: ignore[type-abstract]
