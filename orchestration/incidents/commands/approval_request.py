"""Asking for a person's approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.commands.spec import CommandSpec
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.model import require_open
from orchestration.notifications.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class RequestApproval(IncidentCommand):
    """Ask everyone who was notified, and level 1, to approve what a playbook wants to do."""

    question: str

    spec: ClassVar = CommandSpec(summary="Request a person's approval.")

    def apply(self, change: IncidentChange) -> None:
        """Send the question."""
        require_open(change.incident, "request approval for")
        change.add_entry("approval-requested", question=self.question)
        contacts = change.contacts_for([*change.incident.notified, "level-1"])
        # A playbook may ask more than once; with the version, each question has a message of its own.
        step = f"approval-{change.incident.version}"
        # Lasting: an acknowledgement stops pages, but does not answer the question.
        change.notify(NoticeKind.APPROVAL, contacts, step, self.question, lasting=True)
