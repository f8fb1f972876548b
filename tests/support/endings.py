"""Incidents that end in each of the ways that figures count apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestration.commands.spec import CommandSpec
from orchestration.domain.incident_end import IncidentEnd
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.service import IncidentService
from tests.support.incidents import ADA


@dataclass(frozen=True, slots=True)
class _EndAs(IncidentCommand):
    """Resolve, for a reason that the test names."""

    end: IncidentEnd
    spec: ClassVar = CommandSpec(summary="For tests.")

    def apply(self, change: IncidentChange) -> None:
        """Resolve it."""
        Resolve("over", anyway=True).apply(change)
        change.set(ended_by=self.end)


def end_as(service: IncidentService, incident_id: str, end: IncidentEnd) -> None:
    """Let an incident end in this way."""
    service.execute(incident_id, ADA, _EndAs(end))
