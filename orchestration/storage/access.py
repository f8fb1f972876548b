"""Users, sessions, tokens, failed sign-ins and kept answers. Secrets are here as digests only."""

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
    """Somebody who signs in. `password` is a digest that holds its own parameters."""

    name: str
    role: str
    password: str
    created_at: datetime
    disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A browser that somebody has signed in with; `csrf` goes with every form that it sends."""

    digest: str
    user: str
    csrf: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What a program shows to be let in. `scopes` None means every area; `limits` are those of a gateway client."""

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

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered to a request with an idempotency key; no `status` while it is being answered."""

    key: str
    request: str
    status: int | None
    body: str
    at: datetime


class AccessTable:
    """All of them in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_user(self, user: UserRow, *, first: bool = False) -> None:
        """Add somebody; with `first` only where there is nobody yet. Raises ConflictError."""
        with self._database.write(exclusive="users") as connection:
            if first and connection.execute(sa.select(users.c.name).limit(1)).first():
                raise ConflictError("expected a project without users, got one that has some; ask an admin to add you")
            if connection.execute(sa.select(users.c.name).where(users.c.name == user.name)).first():
                raise ConflictError(f"expected a new name, got '{user.name}', who is there already; take another")
            connection.execute(sa.insert(users).values(**_values(user, users)))

    def find_user(self, name: str) -> UserRow | None:
        """The user of that name."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
            return None if row is None else UserRow(**row._mapping)

    def list_users(self) -> tuple[UserRow, ...]:
        """Everybody, by name."""
        with self._database.read() as connection:
            return tuple(UserRow(**row._mapping) for row in connection.execute(sa.select(users).order_by(users.c.name)))

    def update_user(self, name: str, *, keep_an: str, **values: Any) -> None:
        """Change somebody and end their sessions. Raises NotFoundError; and ConflictError where nobody with the role
        `keep_an` would be left to let others in."""
        with self._database.write(exclusive="users") as connection:
            if not connection.execute(sa.update(users).where(users.c.name == name).values(**values)).rowcount:
                raise NotFoundError(f"expected a user that exists, got '{name}'; `orchestrator users list` shows them")
            able = sa.select(users.c.name).where(users.c.role == keep_an, users.c.disabled_at.is_(None))
            if not connection.execute(able.limit(1)).first():
                raise ConflictError(
                    f"expected at least one {keep_an} to stay, got '{name}', the last; add another first"
                )
            connection.execute(sa.delete(sessions).where(sessions.c.user == name))

    def add_session(self, session: SessionRow) -> None:
        """Let a browser in; sessions that are over are forgotten on the occasion."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.expires_at < session.created_at))
            connection.execute(sa.insert(sessions).values(**_values(session, sessions)))

    def find_session(self, digest: str) -> tuple[SessionRow, UserRow] | None:
        """A session and whose it is."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(sessions).where(sessions.c.digest == digest)).one_or_none()
            owner = row and connection.execute(sa.select(users).where(users.c.name == row.user)).one_or_none()
            return (SessionRow(**row._mapping), UserRow(**owner._mapping)) if row and owner else None

    def touch_session(self, digest: str, now: datetime) -> None:
        """Note that a session was used."""
        with self._database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.digest == digest).values(used_at=now))

    def remove_session(self, digest: str) -> None:
        """Let a browser out."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.digest == digest))

    def add_token(self, token: TokenRow) -> None:
        """Keep a token."""
        values = _values(token, tokens) | {"scopes": None if token.scopes is None else list(token.scopes)}
        with self._database.write() as connection:
            connection.execute(sa.insert(tokens).values(**values | {"limits": dict(token.limits)}))

    def find_token_by_digest(self, digest: str) -> TokenRow | None:
        """The token of that digest."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(tokens).where(tokens.c.digest == digest)).one_or_none()
            return None if row is None else TokenRow(**row._mapping)

    def list_tokens(self) -> tuple[TokenRow, ...]:
        """All tokens, the newest first, those that are over too."""
        query = sa.select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id.desc())
        with self._database.read() as connection:
            return tuple(TokenRow(**row._mapping) for row in connection.execute(query))

    def find_token(self, text: str) -> TokenRow:
        """The one token whose identifier ends or begins with `text`. Raises NotFoundError."""
        row = find_row(self._database, tokens, text, what="a token", command="orchestrator tokens list")
        return TokenRow(**row._mapping)

    def revoke_token(self, token_id: str, now: datetime) -> None:
        """Let it open nothing any more."""
        with self._database.write() as connection:
            same = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
            connection.execute(sa.update(tokens).where(same).values(revoked_at=now))

    def add_failure(self, source: str, user: str, at: datetime, forget_before: datetime) -> None:
        """Note a sign-in that failed; old ones are forgotten on the occasion."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_failures).where(sign_in_failures.c.at < forget_before))
            connection.execute(sa.insert(sign_in_failures).values(source=source, user=user, at=at))

    def list_failures(self, source: str, since: datetime) -> tuple[tuple[str, datetime], ...]:
        """Whom a source tried to sign in as since then, and when."""
        query = sa.select(sign_in_failures.c.user, sign_in_failures.c.at).where(
            sign_in_failures.c.source == source, sign_in_failures.c.at >= since
        )
        with self._database.read() as connection:
            return tuple((row.user, row.at) for row in connection.execute(query.order_by(sign_in_failures.c.sequence)))

    def remove_failures(self, source: str, user: str) -> None:
        """Forget the failures of somebody who has signed in."""
        same = (sign_in_failures.c.source == source) & (sign_in_failures.c.user == user)
        with self._database.write() as connection:
            connection.execute(sa.delete(sign_in_failures).where(same))

    def claim_key(self, key: str, request: str, now: datetime, forget_before: datetime) -> KeptAnswer | None:
        """Take a key for a request; None when it is now taken by it, else what is known of the key."""
        with self._database.write(exclusive=f"answer/{key}") as connection:
            connection.execute(sa.delete(kept_answers).where(kept_answers.c.at < forget_before))
            row = connection.execute(sa.select(kept_answers).where(kept_answers.c.key == key)).one_or_none()
            if row is None:
                connection.execute(sa.insert(kept_answers).values(key=key, request=request, body="", at=now))
            return None if row is None else KeptAnswer(**row._mapping)

    def save_response(self, key: str, status: int, body: str) -> None:
        """Keep the answer to the request that has taken a key."""
        with self._database.write() as connection:
            same = kept_answers.c.key == key
            connection.execute(sa.update(kept_answers).where(same).values(status=status, body=body))

    def release_key(self, key: str) -> None:
        """Free a key: its request was not carried out."""
        with self._database.write() as connection:
            connection.execute(sa.delete(kept_answers).where(kept_answers.c.key == key))


def _values(record: UserRow | SessionRow | TokenRow, table: sa.Table) -> dict[str, Any]:
    return {column.name: getattr(record, column.name) for column in table.columns}
