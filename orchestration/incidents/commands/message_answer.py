"""Answering an incident by a link in a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from orchestration.commands.spec import CommandSpec
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import IncidentRefusedError, Refusal


@dataclass(frozen=True, slots=True)
class AnswerByMessage(IncidentCommand):
    """Another command, given by a link, which counts once. `way` is how the person got the link; what the command
    records names it."""

    command: IncidentCommand
    link: str
    way: str

    spec: ClassVar = CommandSpec(summary="Give a command by a link in a message.")

    def redacted(self, redact: Callable[[str], str]) -> Self:
        """The same without any secret in the texts of the command."""
        return replace(self, command=self.command.redacted(redact))

    def apply(self, change: IncidentChange) -> None:
        """Apply the command, unless the link was used. Raises IncidentRefusedError."""
        incident, before = change.incident, len(change.entries)
        if self.link in incident.answered_links:
            raise IncidentRefusedError(Refusal.ALREADY_DONE, f"the link was used for {incident.id} already")
        self.command.apply(change)
        # In the transaction of the command: whoever clicks twice, or has a program that does, calls nobody twice.
        change.set(answered_links=(*change.incident.answered_links, self.link))
        change.entries[before:] = [
            replace(entry, data={**entry.data, "via": self.way}) for entry in change.entries[before:]
        ]
