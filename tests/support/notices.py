"""Notices and contacts to begin a test with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.notifications.notice import Notice, NoticeKind

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


def a_notice(kind: NoticeKind = NoticeKind.INITIAL, **changes: Any) -> Notice:
    """A notice in which everything is known, with changes."""
    known: dict[str, Any] = {
        "kind": kind,
        "incident_id": "inc-01",
        "severity": Severity.P1,
        "scenario": Scenario.PROVIDER_UNAVAILABLE,
        "title": "Ollama does not answer",
        "status": "INVESTIGATING",
        "impact": "3 runs wait for a model",
        "started_at": NOON - timedelta(minutes=5),
        "detected_at": NOON - timedelta(minutes=4),
        "eta": NOON + timedelta(hours=1),
        "details": "Connection refused at localhost:11434.\nNo fallback is configured.",
        "next_update": NOON + timedelta(minutes=30),
        "duration": timedelta(hours=1, minutes=5),
        "root_cause": "The server was stopped by an update",
        "resolution": "Started it again",
        "review": "2026-03-06 at 10:00, room 3",
        "reason": "not acknowledged within 10 min",
        "tried": ("probed it 3 times", "looked for a fallback"),
        "to_do": ("ollama serve", "orchestrator incidents ack inc-01"),
        "url": "http://127.0.0.1:8080/incidents/inc-01",
    }
    return Notice(**{**known, **changes})


def a_response(contacts: Mapping[str, tuple[str, ...]], **channels: dict[str, Any]) -> ResponseSettings:
    """Contacts by id with the channels that each has, and the channels; every contact has an e-mail address."""
    return ResponseSettings(
        contacts=tuple(a_contact(name, *names) for name, names in contacts.items()),
        channels={name: ChannelSettings(**settings) for name, settings in channels.items()},
    )


def a_contact(name: str, *channels: str, **more: Any) -> Contact:
    """A contact with these channels."""
    places = tuple(ContactAddress(channel=channel, address=f"{name}@example.org") for channel in channels)
    return Contact(id=name, name=name.title(), channels=places, **more)
