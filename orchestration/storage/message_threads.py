"""The conversations at receivers: by what the next message about an incident follows those before it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import message_threads


class Addressed(Protocol):
    """A message about an incident, on a channel, to a recipient there."""

    @property
    def incident_id(self) -> str | None: ...
    @property
    def channel(self) -> str: ...
    @property
    def recipient(self) -> str: ...


class MessageThreads:
    """The conversations in the database: one for each incident, channel and recipient."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, message: Addressed) -> str:
        """What a channel has returned for an earlier message like this one; empty if there was none."""
        query = sa.select(message_threads.c.reference).where(_same(message))
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none() or ""

    def save(self, message: Addressed, reference: str, at: datetime, connection: sa.Connection) -> None:
        """Keep what a channel has returned, in the transaction in which the message is marked as sent."""
        if message.incident_id is None:
            return
        values = {"reference": reference, "at": at}
        if connection.execute(sa.update(message_threads).where(_same(message)).values(**values)).rowcount:
            return
        key = {"incident_id": message.incident_id, "channel": message.channel, "recipient": message.recipient}
        connection.execute(sa.insert(message_threads).values(**key, **values))


def _same(message: Addressed) -> sa.ColumnElement[bool]:
    return sa.and_(
        message_threads.c.incident_id == message.incident_id,
        message_threads.c.channel == message.channel,
        message_threads.c.recipient == message.recipient,
    )
