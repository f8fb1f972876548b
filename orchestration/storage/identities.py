"""Who users are at an identity provider: by issuer and subject, never by name or mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from orchestration.errors import ConflictError
from orchestration.storage.access import UserRow
from orchestration.storage.database import Database
from orchestration.storage.tables import identities, sessions, users


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One person at an identity provider. The role of a `managed` user follows the provider's claims."""

    issuer: str
    subject: str
    user: str
    managed: bool
    created_at: datetime


class IdentityTable:
    """The table of identities."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, issuer: str, subject: str) -> IdentityRow | None:
        """The identity with that subject at an issuer, or None."""
        same = (identities.c.issuer == issuer) & (identities.c.subject == subject)
        with self._database.read() as connection:
            row = connection.execute(sa.select(identities).where(same)).one_or_none()
            return None if row is None else IdentityRow(**row._mapping)

    def link(self, identity: IdentityRow) -> None:
        """Link an identity to a user who exists. Raises ConflictError if it belongs to somebody already."""
        with self._database.write(exclusive="users") as connection:
            _insert(connection, identity)

    def add_user(self, identity: IdentityRow, user: UserRow) -> None:
        """Add a user together with the identity. Raises ConflictError if there is the one or the other."""
        with self._database.write(exclusive="users") as connection:
            if connection.execute(sa.select(users.c.name).where(users.c.name == user.name)).first():
                raise ConflictError(f"The user '{user.name}' exists already. Ask an admin to remove or rename it.")
            values = {name: getattr(user, name) for name in ("name", "role", "password", "created_at", "disabled_at")}
            connection.execute(sa.insert(users).values(**values))
            _insert(connection, identity)

    def set_role(self, user: str, role: str) -> None:
        """Change the role of a managed user, whose sessions end. The identity provider decides who is an admin, so the
        last one is not protected."""
        with self._database.write(exclusive="users") as connection:
            connection.execute(sa.update(users).where(users.c.name == user).values(role=role))
            connection.execute(sa.delete(sessions).where(sessions.c.user == user))


def _insert(connection: sa.Connection, identity: IdentityRow) -> None:
    same = (identities.c.issuer == identity.issuer) & (identities.c.subject == identity.subject)
    if connection.execute(sa.select(identities.c.user).where(same)).first():
        raise ConflictError("This identity is linked to a user already.")
    values = {name: getattr(identity, name) for name in ("issuer", "subject", "user", "managed", "created_at")}
    connection.execute(sa.insert(identities).values(**values))
