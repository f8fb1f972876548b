"""Sign-ins that have begun in a browser and wait for their next step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.tables import sign_in_challenges


@dataclass(frozen=True, slots=True)
class ChallengeRow:
    """A sign-in that waits. `digest` is that of the cookie that binds it to its browser."""

    digest: str
    kind: str
    user: str | None
    expires_at: datetime
    attempts: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)


class SignInChallenges:
    """The table of sign-ins that have begun."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, challenge: ChallengeRow, now: datetime) -> None:
        """Add one, and delete expired ones."""
        values = {name: getattr(challenge, name) for name in ("digest", "kind", "user", "expires_at", "attempts")}
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_challenges).where(sign_in_challenges.c.expires_at < now))
            connection.execute(sa.insert(sign_in_challenges).values(**values, data=dict(challenge.data)))

    def find(self, digest: str, kind: str, now: datetime) -> ChallengeRow | None:
        """A sign-in of this kind that has not expired, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(sign_in_challenges).where(_valid(digest, kind, now))).one_or_none()
            return None if row is None else ChallengeRow(**row._mapping)

    def claim_attempt(self, digest: str, kind: str, now: datetime, most: int) -> ChallengeRow | None:
        """Count an attempt before it is made, so that no number of them at once exceeds `most`; None if none is left
        or the sign-in has expired."""
        left = _valid(digest, kind, now) & (sign_in_challenges.c.attempts < most)
        change = sa.update(sign_in_challenges).where(left).values(attempts=sign_in_challenges.c.attempts + 1)
        with self._database.write() as connection:
            if not connection.execute(change).rowcount:
                return None
        return self.find(digest, kind, now)

    def remove(self, digest: str) -> bool:
        """Delete one; returns whether it was there, which is true for one caller only."""
        with self._database.write() as connection:
            same = sign_in_challenges.c.digest == digest
            return connection.execute(sa.delete(sign_in_challenges).where(same)).rowcount == 1


def _valid(digest: str, kind: str, now: datetime) -> sa.ColumnElement[bool]:
    table = sign_in_challenges.c
    return (table.digest == digest) & (table.kind == kind) & (table.expires_at > now)
