"""Turning isolation mode on and lifting it, for console, API and pages."""

from __future__ import annotations

from orchestration.app.project import ProjectRecords
from orchestration.config import isolation
from orchestration.config.isolation import Isolation


def isolate(here: ProjectRecords, *, reason: str, actor: str, incident: str | None = None) -> tuple[Isolation, bool]:
    """Isolate the system, for an incident if one is named; the second value is False if it was isolated already.
    Raises NotFoundError for an unknown incident."""
    found = None if incident is None else here.incident_service.records.find(incident).id
    return isolation.isolate(here.store, reason=here.redactor.text(reason), actor=actor, incident=found)


def lift(here: ProjectRecords, *, reason: str, actor: str) -> Isolation | None:
    """Lift the isolation; returns what was lifted, None if the system was not isolated. Raises ConflictError."""
    return isolation.lift(here.store, reason=here.redactor.text(reason), actor=actor)
