"""The tables of all incident commands, from which console, API, client and pages are built."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.commands.discovery import commands_of
from orchestration.incidents import commands
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand

COMMANDS: Mapping[str, type[IncidentCommand]] = commands_of(commands, IncidentCommand)  # type: ignore[type-abstract]
OPENING_COMMANDS: Mapping[str, type[OpeningCommand]] = commands_of(commands, OpeningCommand)  # type: ignore[type-abstract]
