"""A desk over a real database, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.config.response import ResponseSettings
from orchestration.events import Event, EventBus
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Incident
from orchestration.incidents.service import IncidentService, Ports
from orchestration.security.redaction import Redactor
from orchestration.storage.database import Database
from orchestration.storage.outbox import Outbox, OutboxRow
from tests.support.database import migrated
from tests.support.incidents import ADA, NOON, plan, some_settings


@dataclass(repr=False)
class Room:
    """The desk and everything that it touches."""

    database: Database
    folder: Path
    settings: ResponseSettings = field(default_factory=some_settings)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    events: list[Event] = field(default_factory=list)
    redactor: Redactor = field(default_factory=Redactor)

    def __post_init__(self) -> None:
        self.bus = EventBus(self.clock)
        self.bus.subscribe(self.events.append)
        self.service = self.new_service()
        self.outbox = Outbox(self.database)

    def new_service(self, **ports: Any) -> IncidentService:
        standard: dict[str, Any] = {"settings": lambda: self.settings, "plan": plan, "redact": self.redactor.data}
        return IncidentService(self.database, self.bus, self.clock, Ports(**{**standard, **ports}))

    def go_to(self, moment: datetime) -> None:
        """Let it be that time."""
        self.clock._elapsed = (moment - NOON) / timedelta(seconds=1)

    def tick(self, moment: datetime | None = None) -> int:
        """Let it be that time, and do what is due."""
        if moment is not None:
            self.go_to(moment)
        return self.service.fire_due_timers(self.clock.now())

    def resolve(self, incident_id: str, resolution: str = "mended") -> Incident:
        """Ada resolves it, after all of its alerts have cleared."""
        for key in self.service.records.get(incident_id).known_conditions:
            self.service.mark_cleared(key, self.clock.now())
        return self.service.execute(incident_id, ADA, Resolve(resolution))

    def messages(self, incident: Incident) -> list[tuple[str, str, str]]:
        """Kind, contact and state of every message about it."""
        return [(row.kind, row.contact, row.state.value) for row in self.rows(incident)]

    def rows(self, incident: Incident) -> tuple[OutboxRow, ...]:
        return self.outbox.list_for_incident(incident.id)

    def kinds(self, incident: Incident) -> list[str]:
        """The kinds of its timeline's entries."""
        return [entry.kind for entry in self.service.records.entries(incident.id)]

    def said(self) -> list[str]:
        """The kinds of all events."""
        return [event.kind for event in self.events]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    database = migrated(f"sqlite:///{tmp_path}/orchestrator.db")
    yield Room(database, tmp_path)
    database.close()
