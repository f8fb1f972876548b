"""The devices on which users get push messages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa

from orchestration.errors import NotFoundError
from orchestration.storage.database import Database
from orchestration.storage.tables import push_subscriptions


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """A browser that has subscribed (https://www.w3.org/TR/push-api/#pushsubscription-interface). `endpoint` is secret:
    whoever knows it can try to send there. The keys are in base64url."""

    id: str
    user: str
    endpoint: str
    public_key: str
    auth_secret: str
    label: str
    created_at: datetime

    @property
    def service(self) -> str:
        """The host of its push service, which may be shown."""
        return urlsplit(self.endpoint).hostname or "unknown"


def subscription_id(endpoint: str) -> str:
    """The id of the subscription with that address: a browser that subscribes again is the same device."""
    return f"push-{hashlib.sha256(endpoint.encode()).hexdigest()[:32]}"


class PushSubscriptions:
    """The subscriptions in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, one: PushSubscription, replaced: Sequence[str] = ()) -> None:
        """Store a subscription, in the place of an earlier one of the same address and of those `replaced`."""
        gone = (one.id, *replaced)
        with self._database.write() as connection:
            connection.execute(sa.delete(push_subscriptions).where(push_subscriptions.c.id.in_(gone)))
            connection.execute(sa.insert(push_subscriptions).values(asdict(one)))

    def of_user(self, user: str) -> tuple[PushSubscription, ...]:
        """The devices of a user, the oldest first."""
        table = push_subscriptions
        query = sa.select(table).where(table.c.user == user).order_by(table.c.created_at, table.c.id)
        with self._database.read() as connection:
            return tuple(PushSubscription(**row._mapping) for row in connection.execute(query))

    def remove(self, name: str, user: str | None = None) -> None:
        """Remove a subscription; with `user`, only one of theirs. Raises NotFoundError if there is none such."""
        query = sa.delete(push_subscriptions).where(push_subscriptions.c.id == name)
        query = query if user is None else query.where(push_subscriptions.c.user == user)
        with self._database.write() as connection:
            if not connection.execute(query).rowcount:
                raise NotFoundError(f"There is no device '{name[:64]}' of yours.")
