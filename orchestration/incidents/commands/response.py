"""The beginning and the end of a playbook's response to an incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.commands.spec import CommandSpec
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import require_open


@dataclass(frozen=True, slots=True)
class BeginResponse(IncidentCommand):
    """A playbook is at work on the incident. Once it has changed something, the incident waits for its end."""

    run: str

    spec: ClassVar = CommandSpec(summary="Record that a playbook has begun to respond.")

    def apply(self, change: IncidentChange) -> None:
        """Note since when. Raises IncidentRefusedError."""
        require_open(change.incident, "respond to")
        if change.incident.active_response != self.run:
            change.set(active_response=self.run, responding_since=change.now)


@dataclass(frozen=True, slots=True)
class EndResponse(IncidentCommand):
    """The playbook has ended, whatever came of it."""

    run: str

    spec: ClassVar = CommandSpec(summary="Record that a playbook has ended its response.")

    def apply(self, change: IncidentChange) -> None:
        """Let the incident end by what is observed from now on."""
        # A further response may have begun already, because the problem has changed.
        if change.incident.active_response == self.run:
            change.set(active_response="", responding_since=None)
