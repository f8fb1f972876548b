"""The tickets that were made for an incident and its action items."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.app.project import ProjectRecords
from orchestration.config.channels.kinds import find_channel_kind
from orchestration.storage.message_threads import MessageThreads


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket of the incident, or of the action item of that number: its channel and its address."""

    channel: str
    url: str
    item: int | None = None

    @property
    def about(self) -> str:
        return "ticket" if self.item is None else f"action {self.item}"


def tickets_of(app: ProjectRecords, incident_id: str) -> tuple[Ticket, ...]:
    """The tickets, oldest first; those on channels that are gone from the configuration are left out."""
    found = MessageThreads(app.database).list_for_incident(incident_id)
    return tuple(Ticket(one.channel, one.reference, one.item) for one in found if _makes_tickets(app, one.channel))


def _makes_tickets(app: ProjectRecords, channel: str) -> bool:
    settings = app.configuration.response.channel(channel)
    kind = None if settings is None else find_channel_kind(settings.type)
    return kind is not None and kind.makes_tickets
