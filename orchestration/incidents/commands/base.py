"""What every incident command is: a command with one pure `apply`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum

from orchestration.commands.command import Command
from orchestration.incidents.change import IncidentChange


class ShownWhile(Enum):
    """While an incident is in which state its page offers a form."""

    ALWAYS = "always"
    OPEN = "open"
    RESOLVED = "resolved"


class IncidentCommand(Command, ABC):
    """Something that a person or automation does to an incident."""

    __slots__ = ()

    @abstractmethod
    def apply(self, change: IncidentChange) -> None:
        """Make the change. Pure. Raises IncidentRefusedError where the incident's state does not allow it."""
