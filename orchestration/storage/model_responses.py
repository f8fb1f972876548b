"""Responses that clients of the gateway may refer to: the answers, and the messages that a later one continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.errors import NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.tables import model_responses

# A conversation of this many turns is longer than any model reads.
_MOST_TURNS = 10_000
_MOST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One response of an `owner`, who alone may see it. `body` is what the client got, `input` are the items that it
    had sent, and `messages` those of this turn in the chat format, with the answer."""

    id: str
    owner: str
    previous_id: str | None
    body: Mapping[str, Any]
    input: Sequence[Mapping[str, Any]]
    messages: Sequence[Mapping[str, Any]]
    created_at: datetime


class ModelResponses:
    """The responses in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, response: StoredResponse) -> None:
        """Keep a response."""
        with self._database.write() as connection:
            connection.execute(sa.insert(model_responses).values(**asdict(response)))

    def get(self, identifier: str, owner: str) -> StoredResponse:
        """A response. Raises NotFoundError, also where it is somebody else's."""
        with self._database.read() as connection:
            return _get(connection, identifier, owner)

    def conversation(self, identifier: str, owner: str) -> list[Mapping[str, Any]]:
        """The messages of a response and of all before it, the oldest first. Raises NotFoundError if one is missing."""
        turns: list[Sequence[Mapping[str, Any]]] = []
        following: str | None = identifier
        with self._database.read() as connection:
            while following is not None and len(turns) < _MOST_TURNS:
                found = _get(connection, following, owner)
                turns.append(found.messages)
                following = found.previous_id
        return [message for turn in reversed(turns) for message in turn]

    def delete(self, identifier: str, owner: str) -> None:
        """Forget a response. Raises NotFoundError."""
        with self._database.write() as connection:
            _get(connection, identifier, owner)
            connection.execute(sa.delete(model_responses).where(*_is(identifier, owner)))


def _get(connection: sa.Connection, identifier: str, owner: str) -> StoredResponse:
    # PostgreSQL refuses some characters even in a comparison, as the end of a text in C.
    sound = identifier.isprintable() and len(identifier) <= _MOST_CHARACTERS
    asked = sa.select(model_responses).where(*_is(identifier, owner))
    row = connection.execute(asked).one_or_none() if sound else None
    if row is None:
        raise _missing(identifier)
    return StoredResponse(**row._mapping)


def _is(identifier: str, owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    return model_responses.c.id == identifier, model_responses.c.owner == owner


def _missing(identifier: str) -> NotFoundError:
    return NotFoundError(f"There is no response '{identifier}'. Responses are kept for as long as the retention says.")
