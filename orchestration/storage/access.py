"""Users, sessions, tokens, failed sign-ins, and responses kept for idempotency keys. Secrets are stored as digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestration.errors import ConflictError, NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.identifiers import find_row
from orchestration.storage.tables import kept_answers, sessions, sign_in_failures, tokens, users


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user who can sign in. `password` is a digest that includes its own parameters."""

    name: str
    role: str
    password: str
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser; `csrf` is the token that every form of it has to send. `proof` is what proved the user
    beside the password, if anything did."""

    digest: str
    user: str
    csrf: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    proof: str | None = None


@dataclass(frozen=True, slots=True)
class TokenRow:
    """An API token. `scopes` None means every area; `limits` are those of a client of the gateway, which belongs to
    `team`."""

    id: str
    digest: str
    name: str
    role: str
    scopes: Sequence[str] | None
    created_by: str
    created_at: datetime
    limits: Mapping[str, float] = field(default_factory=dict)
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    team: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class IdempotentResponse:
    """The response to a request with an idempotency key; `status` is None while the request is being handled."""

    key: str
    # A digest of method, path and body. A key that comes again with another request is a mistake of the client, and
    # must not be answered with somebody's earlier response (draft-ietf-httpapi-idempotency-key-header).
    request: str
    status: int | None
    body: str
    at: datetime


class AccessTable:
    """The tables of access control."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_user(self, user: UserRow, *, first: bool = False) -> None:
        """Add a user; with `first`, only if there is none yet. Raises ConflictError."""
        # Exclusive: two requests with the same set-up key must not both become the first user.
        with self._database.write(exclusive="users") as connection:
            if first and connection.execute(sa.select(users.c.name).limit(1)).first():
                raise ConflictError("The first user exists already. Ask an admin to add you.")
            if connection.execute(sa.select(users.c.name).where(users.c.name == user.name)).first():
                raise ConflictError(f"The user '{user.name}' exists already. Choose another name.")
            connection.execute(sa.insert(users).values(**_values(user, users)))

    def find_user(self, name: str) -> UserRow | None:
        """The user of that name, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
            return None if row is None else UserRow(**row._mapping)

    def list_users(self) -> tuple[UserRow, ...]:
        """All users, by name."""
        with self._database.read() as connection:
            return tuple(UserRow(**row._mapping) for row in connection.execute(sa.select(users).order_by(users.c.name)))

    def update_user(self, name: str, *, keep_an: str, **values: Any) -> None:
        """Change a user and end their sessions. Raises NotFoundError, and ConflictError if no enabled user with the
        role `keep_an` would be left."""
        with self._database.write(exclusive="users") as connection:
            if not connection.execute(sa.update(users).where(users.c.name == name).values(**values)).rowcount:
                raise NotFoundError(f"There is no user '{name}'. `orchestrator users list` shows all.")
            # Checked after the change: the error takes the change back, and the query sees the users as they would be.
            able = sa.select(users.c.name).where(users.c.role == keep_an, users.c.disabled_at.is_(None))
            if not connection.execute(able.limit(1)).first():
                raise ConflictError(f"'{name}' is the last enabled {keep_an}. Add another one first.")
            # A changed password must also end the sessions of whoever has used the old one.
            connection.execute(sa.delete(sessions).where(sessions.c.user == name))

    def add_session(self, session: SessionRow) -> None:
        """Add a session, and delete expired ones."""
        with self._database.write() as connection:
            # Here, because no maintenance job does it. Sign-ins are rare, so the cost does not matter.
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at < session.created_at))
            connection.execute(sa.insert(sessions).values(**_values(session, sessions)))

    def find_session(self, digest: str) -> tuple[SessionRow, UserRow] | None:
        """A session and its user, or None."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.digest == digest)).one_or_none()
            owner = row and connection.execute(sa.select(users).where(users.c.name == row.user)).one_or_none()
            return (SessionRow(**row._mapping), UserRow(**owner._mapping)) if row and owner else None

    def touch_session(self, digest: str, now: datetime) -> None:
        """Record that a session was used."""
        with self._database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.digest == digest).values(used_at=now))

    def remove_session(self, digest: str) -> None:
        """Delete a session."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.digest == digest))

    def remove_sessions(self, user: str) -> int:
        """Delete all sessions of a user; returns how many there were."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(sessions).where(sessions.c.user == user)).rowcount

    def add_token(self, token: TokenRow) -> None:
        """Store a token."""
        values = _values(token, tokens) | {"scopes": None if token.scopes is None else list(token.scopes)}
        with self._database.write() as connection:
            connection.execute(sa.insert(tokens).values(**values | {"limits": dict(token.limits)}))

    def find_token_by_digest(self, digest: str) -> TokenRow | None:
        """The token with that digest, or None."""
        with self._database.read() as connection:
            # The index compares digests of random secrets, so how long the search takes reveals nothing about a token.
            row = connection.execute(sa.select(tokens).where(tokens.c.digest == digest)).one_or_none()
            return None if row is None else TokenRow(**row._mapping)

    def list_tokens(self) -> tuple[TokenRow, ...]:
        """All tokens, newest first, including expired and revoked ones."""
        query = sa.select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id.desc())
        with self._database.read() as connection:
            return tuple(TokenRow(**row._mapping) for row in connection.execute(query))

    def find_token(self, text: str) -> TokenRow:
        """The one token whose identifier starts or ends with `text`. Raises NotFoundError."""
        row = find_row(self._database, tokens, text, what="a token", command="orchestrator tokens list")
        return TokenRow(**row._mapping)

    def revoke_token(self, token_id: str, now: datetime) -> None:
        """Revoke a token; the time of an earlier revocation stays."""
        with self._database.write() as connection:
            same = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
            connection.execute(sa.update(tokens).where(same).values(revoked_at=now))

    def add_failure(self, source: str, user: str, at: datetime, forget_before: datetime) -> None:
        """Record a failed sign-in, and delete old ones."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_failures).where(sign_in_failures.c.at < forget_before))
            connection.execute(sa.insert(sign_in_failures).values(source=source, user=user, at=at))

    def list_failures(self, source: str, since: datetime) -> tuple[tuple[str, datetime], ...]:
        """The failed sign-ins of a source since a time: user name and time of each."""
        query = sa.select(sign_in_failures.c.user, sign_in_failures.c.at).where(
            sign_in_failures.c.source == source, sign_in_failures.c.at >= since
        )
        with self._database.read() as connection:
            # By number and not by time: the caller counts back from the last one, and a clock that is set back would
            # reorder them.
            return tuple((row.user, row.at) for row in connection.execute(query.order_by(sign_in_failures.c.sequence)))

    def list_failures_for(self, user: str, since: datetime) -> tuple[datetime, ...]:
        """When sign-ins as a user have failed since a time, from anywhere."""
        query = sa.select(sign_in_failures.c.at).where(sign_in_failures.c.at >= since, sign_in_failures.c.user == user)
        with self._database.read() as connection:
            return tuple(row.at for row in connection.execute(query.order_by(sign_in_failures.c.sequence)))

    def remove_failures_for(self, user: str) -> None:
        """Delete the failures of a user, wherever they came from."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_failures).where(sign_in_failures.c.user == user))

    def remove_failures(self, source: str, user: str) -> None:
        """Delete the failures of a user who has signed in."""
        same = (sign_in_failures.c.source == source) & (sign_in_failures.c.user == user)
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_failures).where(same))

    def claim_key(self, key: str, request: str, now: datetime, forget_before: datetime) -> IdempotentResponse | None:
        """Claim an idempotency key for a request. None if the claim succeeded, else the response that is stored for
        it."""
        # Without the lock, PostgreSQL would let two copies of a request both find the key unused.
        with self._database.write(exclusive=f"answer/{key}") as connection:
            connection.execute(sa.delete(kept_answers).where(kept_answers.c.at < forget_before))
            row = connection.execute(sa.select(kept_answers).where(kept_answers.c.key == key)).one_or_none()
            if row is None:
                connection.execute(sa.insert(kept_answers).values(key=key, request=request, body="", at=now))
            return None if row is None else IdempotentResponse(**row._mapping)

    def save_response(self, key: str, status: int, body: str) -> None:
        """Store the response to the request that claimed a key."""
        with self._database.write() as connection:
            same = kept_answers.c.key == key
            connection.execute(sa.update(kept_answers).where(same).values(status=status, body=body))

    def release_key(self, key: str) -> None:
        """Release a key whose request was not carried out, so that a retry is."""
        with self._database.write() as connection:
            connection.execute(sa.delete(kept_answers).where(kept_answers.c.key == key))


def _values(record: UserRow | SessionRow | TokenRow, table: sa.Table) -> dict[str, Any]:
    return {column.name: getattr(record, column.name) for column in table.columns}
