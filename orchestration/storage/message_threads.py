"""The conversations at receivers: by what the next message about an incident follows those before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import message_threads


class Addressed(Protocol):
    """A message about an incident, on a channel, in one of the conversations there."""

    @property
    def incident_id(self) -> str | None: ...
    @property
    def channel(self) -> str: ...
    @property
    def conversation(self) -> str: ...


@dataclass(frozen=True, slots=True)
class MessageThread:
    """A conversation about an incident, or about the action item of that number; `reference` is what its channel has
    returned for it."""

    channel: str
    reference: str
    item: int | None = None


def conversation_of(recipient: str, item: int | None) -> str:
    """The name of the conversation with a recipient about an incident, or about one of its action items."""
    return recipient if item is None else f"{recipient}#{item}"


class MessageThreads:
    """The conversations in the database: one for each incident, channel and recipient."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, message: Addressed) -> str:
        """What a channel has returned for an earlier message like this one; empty if there was none."""
        query = sa.select(message_threads.c.reference).where(_same(message))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def list_for_incident(self, incident_id: str) -> tuple[MessageThread, ...]:
        """The conversations about an incident, oldest first."""
        query = sa.select(message_threads).where(message_threads.c.incident_id == incident_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(message_threads.c.at, message_threads.c.recipient)).all()
        return tuple(MessageThread(row.channel, row.reference, _item_in(row.recipient)) for row in rows)

    def save(self, message: Addressed, reference: str, at: datetime, connection: sa.Connection) -> None:
        """Keep what a channel has returned, in the transaction in which the message is marked as sent."""
        if message.incident_id is None:
            return
        values = {"reference": reference, "at": at}
        if connection.execute(sa.update(message_threads).where(_same(message)).values(**values)).rowcount:
            return
        key = {"incident_id": message.incident_id, "channel": message.channel, "recipient": message.conversation}
        connection.execute(sa.insert(message_threads).values(**key, **values))


def _same(message: Addressed) -> sa.ColumnElement[bool]:
    return sa.and_(
        message_threads.c.incident_id == message.incident_id,
        message_threads.c.channel == message.channel,
        message_threads.c.recipient == message.conversation,
    )


def _item_in(conversation: str) -> int | None:
    _, _, number = conversation.rpartition("#")
    return int(number) if "#" in conversation and number.isdecimal() else None
