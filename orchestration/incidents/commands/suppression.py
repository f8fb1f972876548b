"""Suppressing an incident during maintenance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from orchestration.commands.spec import CommandSpec
from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand


@dataclass(frozen=True, slots=True)
class Suppress(IncidentCommand):
    """Stay quiet during maintenance; when it ends, the incident is assessed again."""

    until: datetime
    reason: str

    spec: ClassVar = CommandSpec(summary="Suppress the incident during maintenance.")

    def apply(self, change: IncidentChange) -> None:
        """Stop pages and updates until then."""
        change.transition(IncidentStatus.SUPPRESSED, reason=self.reason, until=self.until.isoformat())
        change.set(suppressed_until=self.until, page_due=None, update_due=None)
        # What has not gone out yet must not wake anybody after the maintenance was declared.
        change.stops_pages = True
