"""Second factors of users and their recovery codes. Each code is accepted once, whichever process asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestration.errors import ConflictError
from orchestration.storage.database import Database
from orchestration.storage.tables import recovery_codes, second_factors, sessions, sign_in_challenges


@dataclass(frozen=True, slots=True)
class SecondFactorRow:
    """A user's second factor: the sealed secret, and the time step of the newest code that was accepted."""

    user: str
    secret: str
    last_step: int
    created_at: datetime


class SecondFactorTable:
    """The tables of second factors and recovery codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, user: str) -> SecondFactorRow | None:
        """A user's second factor, or None."""
        query = sa.select(second_factors).where(second_factors.c.user == user)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else SecondFactorRow(**row._mapping)

    def users(self) -> frozenset[str]:
        """Everybody who has a second factor."""
        with self._database.read() as connection:
            return frozenset(connection.execute(sa.select(second_factors.c.user)).scalars())

    def add(self, factor: SecondFactorRow, codes: Iterable[str]) -> None:
        """Add a second factor with the digests of its recovery codes, and end the user's sessions and sign-ins that
        have begun. Raises ConflictError if there is one."""
        # Exclusive: of two enrolments at once, the second must not replace what the first one's user has just stored.
        with self._database.write(exclusive=f"second-factor/{factor.user}") as connection:
            same = second_factors.c.user == factor.user
            if connection.execute(sa.select(second_factors.c.user).where(same)).first():
                raise ConflictError("There is a second factor already. Remove it before setting up another one.")
            values = {"user": factor.user, "secret": factor.secret, "last_step": factor.last_step}
            connection.execute(sa.insert(second_factors).values(**values, created_at=factor.created_at))
            _replace_codes(connection, factor.user, codes, factor.created_at)
            _end_sessions(connection, factor.user)

    def claim_step(self, user: str, step: int) -> bool:
        """Whether the code of this time step is accepted; it and every earlier one never are again."""
        newer = (second_factors.c.user == user) & (second_factors.c.last_step < step)
        with self._database.write() as connection:
            return connection.execute(sa.update(second_factors).where(newer).values(last_step=step)).rowcount == 1

    def claim_recovery_code(self, user: str, digest: str, now: datetime) -> bool:
        """Whether a recovery code is the user's and unused; it is used from then on."""
        unused = (recovery_codes.c.user == user) & (recovery_codes.c.digest == digest)
        change = sa.update(recovery_codes).where(unused & recovery_codes.c.used_at.is_(None)).values(used_at=now)
        with self._database.write() as connection:
            return connection.execute(change).rowcount == 1

    def replace_recovery_codes(self, user: str, digests: Iterable[str], now: datetime) -> None:
        """Store the digests of new recovery codes; the earlier ones are void."""
        with self._database.write() as connection:
            _replace_codes(connection, user, digests, now)

    def count_recovery_codes(self, user: str) -> int:
        """How many recovery codes are left."""
        unused = (recovery_codes.c.user == user) & recovery_codes.c.used_at.is_(None)
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).where(unused)).scalar_one()

    def remove(self, user: str) -> bool:
        """Remove a user's second factor with its recovery codes, and end the user's sessions; returns whether there was
        one."""
        with self._database.write() as connection:
            removed = connection.execute(sa.delete(second_factors).where(second_factors.c.user == user)).rowcount
            connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user == user))
            _end_sessions(connection, user)
            return bool(removed)


def _replace_codes(connection: sa.Connection, user: str, digests: Iterable[str], now: datetime) -> None:
    connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.user == user))
    rows = [{"digest": digest, "user": user, "created_at": now} for digest in digests]
    connection.execute(sa.insert(recovery_codes), rows)


def _end_sessions(connection: sa.Connection, user: str) -> None:
    connection.execute(sa.delete(sessions).where(sessions.c.user == user))
    connection.execute(sa.delete(sign_in_challenges).where(sign_in_challenges.c.user == user))
