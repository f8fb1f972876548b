"""What incident commands are: one with a pure `apply` works on an incident, one with a `report` opens one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from enum import Enum

from orchestration.commands.command import Command
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.report import TroubleReport


class ShownWhile(Enum):
    """While an incident is in which state its page offers a form."""

    ALWAYS = "always"
    OPEN = "open"
    RESOLVED = "resolved"
    SNOOZED = "snoozed"


class IncidentCommand(Command, ABC):
    """Something that a person or automation does to an incident."""

    __slots__ = ()

    @abstractmethod
    def apply(self, change: IncidentChange) -> None:
        """Make the change. Pure. Raises IncidentRefusedError where the incident's state does not allow it."""


class OpeningCommand(Command, ABC):
    """Something by which a person opens an incident. Its path in the API is below that of all incidents."""

    __slots__ = ()

    @abstractmethod
    def report(self, by: str, now: datetime) -> TroubleReport:
        """The report that it makes. Pure. Raises UsageError."""
