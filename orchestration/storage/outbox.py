"""The outbox: what is to be sent, written in the transaction of the change that it tells of, and how each try ended.

A sender *claims* a row before each try: it counts the attempt and moves `due_at` to the end of the claim. So of two
senders one gets the row, and the row of one that died is due again by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa

from orchestration.storage.database import Database
from orchestration.storage.message_threads import MessageThreads, conversation_of
from orchestration.storage.tables import deliveries, outbox

# As urgent as a P0, and as a P3; a message of an earlier release does not say, and may be a page.
MOST_URGENT, LEAST_URGENT = 0, 3
# The name is that of `NoticeKind`, which storage may not import: notifications are a layer above.
ACTION_ITEM = "action-item"
# Bound parameters of one statement: older SQLite allows 999.
_MOST_KEYS = 500


class OutboxState(StrEnum):
    """Where a message stands. `failed` is final: the channel said that it will never work."""

    PENDING = "pending"
    SENT = "sent"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message on one channel, to one contact or to several who share an address; `contact` is the first of them.
    `key` makes it idempotent: incident, step, contact and channel are in it.

    `stops_on_acknowledge` marks a page: once somebody has acknowledged the incident it must not go out any more.
    `attempts` counts the tries that were begun, and `refusals` those of them that certainly did not arrive; `due_at` is
    when the next may begin; `urgency` is the number of the severity.
    """

    key: str
    incident_id: str | None
    kind: str
    contact: str
    channel: str
    address: str | None
    payload: Mapping[str, Any]
    stops_on_acknowledge: bool
    created_at: datetime
    due_at: datetime
    state: OutboxState = OutboxState.PENDING
    attempts: int = 0
    settled_at: datetime | None = None
    detail: str = ""
    urgency: int = LEAST_URGENT
    refusals: int = 0

    @property
    def may_have_arrived(self) -> bool:
        """Whether a try before the present one may have reached the recipient: its answer was lost, or its process
        died."""
        return self.attempts - 1 > self.refusals

    @property
    def recipient(self) -> str:
        """Whom or what the message goes to on its channel."""
        return self.address or self.contact

    @property
    def conversation(self) -> str:
        """What the message belongs to at its recipient: the incident, or one of its action items."""
        return conversation_of(self.recipient, (self.payload.get("notice") or {}).get("item"))

    @property
    def contacts(self) -> tuple[str, ...]:
        """All whom the message is for."""
        return tuple(self.payload.get("contacts") or (self.contact,))

    @property
    def named(self) -> str:
        """All whom the message is for, as text."""
        return ", ".join(self.contacts)


class SendOutcome(StrEnum):
    """How a try ended."""

    SENT = "sent"
    RETRIED = "retried"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """The evidence of one try. `seconds` is how long it took, `detail` what the receiver said, without secrets; what is
    `unclear` may have arrived, although no answer has confirmed it."""

    key: str
    at: datetime
    outcome: SendOutcome
    seconds: float
    detail: str = ""
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent and could be: how many messages, and since when the oldest of them."""

    count: int
    oldest_due_at: datetime | None


# Makes the messages that take the place of a failed one from those about the same incident.
Instead = Callable[[Sequence[OutboxRow]], Sequence[OutboxRow]]


def _as_it_is(payload: Any) -> Any:
    return payload


class Outbox:
    """The messages in the database."""

    def __init__(self, database: Database, redact: Callable[[Any], Any] = _as_it_is) -> None:
        """`redact` is applied to every payload before it is written."""
        self._database = database
        self._redact = redact
        self._listeners: list[Callable[[], None]] = []
        self.threads = MessageThreads(database)

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` when something is put, on the caller's thread, maybe before that is committed; the returned
        function takes it away again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(self, rows: Sequence[OutboxRow], connection: sa.Connection | None = None) -> int:
        """Write messages; those whose key is known already are left as they are. Returns how many are new.

        With `connection`, in that transaction, so that the change and the messages about it stand or fall together.
        """
        if connection is None:
            with self._database.write() as own:
                new = self._insert(rows, own)
        else:
            new = self._insert(rows, connection)
        for listener in tuple(self._listeners) if new else ():
            listener()
        return new

    def cancel_pages(self, incident_id: str, at: datetime, connection: sa.Connection) -> int:
        """Cancel the pages of an incident that have not gone out, in the transaction of its acknowledgement."""
        # A message that is being sent at this moment is pending, too, and is cancelled with the others. If it does go
        # out, `mark_sent` corrects that.
        query = sa.update(outbox).where(
            outbox.c.incident_id == incident_id,
            outbox.c.stops_on_acknowledge,
            outbox.c.state == OutboxState.PENDING.value,
        )
        return connection.execute(query.values(state=OutboxState.CANCELLED.value, settled_at=at)).rowcount

    def cancel_overtaken(self, incident_id: str, at: datetime, connection: sa.Connection) -> int:
        """Cancel all that has not gone out about an incident, in the transaction that ends it; except what its action
        items are about, which outlast it.

        Whoever has heard nothing yet, because a receiver was away or it was night, is told once, how it ended.
        """
        query = sa.update(outbox).where(
            outbox.c.incident_id == incident_id,
            outbox.c.state == OutboxState.PENDING.value,
            outbox.c.kind != ACTION_ITEM,
        )
        return connection.execute(query.values(state=OutboxState.CANCELLED.value, settled_at=at)).rowcount

    def list_for_incident(self, incident_id: str) -> tuple[OutboxRow, ...]:
        """All messages about an incident, oldest first."""
        query = sa.select(outbox).where(outbox.c.incident_id == incident_id).order_by(outbox.c.created_at, outbox.c.key)
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query))

    def list_pending(self) -> tuple[OutboxRow, ...]:
        """All messages that have not gone out and still may, oldest first."""
        query = sa.select(outbox).where(outbox.c.state == OutboxState.PENDING.value)
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query.order_by(outbox.c.created_at, outbox.c.key)))

    def cancel(self, keys: Sequence[str], at: datetime) -> int:
        """Cancel messages that have not gone out; returns how many that were."""
        query = sa.update(outbox).where(outbox.c.key.in_(keys), outbox.c.state == OutboxState.PENDING.value)
        with self._database.write() as connection:
            return connection.execute(query.values(state=OutboxState.CANCELLED.value, settled_at=at)).rowcount

    def list_due_channels(self, now: datetime) -> tuple[str, ...]:
        """The channels on which something may be sent now."""
        query = sa.select(outbox.c.channel).where(_sendable()).distinct().order_by(outbox.c.channel)
        with self._database.read() as connection:
            return tuple(connection.execute(query, {"now": now}).scalars())

    def list_due(self, channel: str, now: datetime, limit: int, without: Collection[str] = ()) -> tuple[OutboxRow, ...]:
        """What may be sent on a channel now, except to some recipients; of each incident and contact only the first.

        The most urgent come first, then those that were never tried, then the oldest.
        """
        query = sa.select(outbox).where(outbox.c.channel == channel, _sendable())
        if without:
            query = query.where(_recipient(outbox).not_in(without))
        urgency = sa.func.coalesce(outbox.c.urgency, MOST_URGENT)
        order = (urgency, sa.case((outbox.c.attempts == 0, 0), else_=1), outbox.c.created_at, outbox.c.key)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(*order).limit(limit), {"now": now})
            return tuple(_row(row) for row in rows)

    def hasten(self, channel: str, now: datetime, without: Collection[str]) -> int:
        """Let every message that waits for its next try on a channel be tried now, except those with these keys, which
        are under way: the receiver answers again. Returns how many there are."""
        query = sa.update(outbox).where(
            outbox.c.channel == channel,
            outbox.c.state == OutboxState.PENDING.value,
            outbox.c.attempts > 0,
            outbox.c.due_at > now,
            outbox.c.key.not_in(without),
        )
        with self._database.write() as connection:
            return connection.execute(query.values(due_at=now)).rowcount

    def claim(self, row: OutboxRow, until: datetime) -> OutboxRow | None:
        """Begin a try, unless the message was cancelled or somebody else began one since it was read: then None."""
        # `attempts` serves as the row's version: it rises with each claim, so of two senders that have read the row,
        # one misses.
        query = sa.update(outbox).where(
            outbox.c.key == row.key,
            outbox.c.state == OutboxState.PENDING.value,
            outbox.c.attempts == row.attempts,
        )
        with self._database.write() as connection:
            claimed = connection.execute(query.values(attempts=row.attempts + 1, due_at=until)).rowcount
        return replace(row, attempts=row.attempts + 1) if claimed else None

    def mark_sent(self, row: OutboxRow, delivery: DeliveryAttempt, thread: str | None = None) -> None:
        """It went out. That also holds for one that was cancelled in that very moment. `thread` is what further
        messages about the incident need to follow it, where that is news."""
        with self._database.write() as connection:
            if thread:
                self.threads.save(row, thread, delivery.at, connection)
            self._settle(row, OutboxState.SENT, delivery, (OutboxState.PENDING, OutboxState.CANCELLED), connection)

    def mark_failed(self, row: OutboxRow, delivery: DeliveryAttempt, instead: Instead) -> None:
        """It will never go out. What `instead` makes of the messages about the same incident is put in the same
        transaction, unless this one was cancelled meanwhile; so that of two that fail at once the second knows."""
        with self._database.write() as connection:
            # Read under the lock, before the decision: if two channels fail at once, each would otherwise leave the
            # replacement to the other.
            siblings = self._locked(row.incident_id, connection)
            if self._settle(row, OutboxState.FAILED, delivery, (OutboxState.PENDING,), connection):
                self.add(instead(siblings), connection)

    def postpone(
        self, row: OutboxRow, due_at: datetime, delivery: DeliveryAttempt, meanwhile: Sequence[OutboxRow] = ()
    ) -> None:
        """It did not go out now; try again at `due_at`. `meanwhile` is put, unless it was cancelled."""
        values = {"due_at": due_at, "detail": delivery.detail, "refusals": row.refusals + (not delivery.unclear)}
        query = sa.update(outbox).where(
            outbox.c.key == row.key,
            outbox.c.state == OutboxState.PENDING.value,
            outbox.c.attempts == row.attempts,
        )
        with self._database.write() as connection:
            # The attempt was made, whatever has become of the message since: its evidence is stored in any case.
            connection.execute(sa.insert(deliveries), [_delivery_values(delivery)])
            if connection.execute(query.values(**values)).rowcount and meanwhile:
                self.add(meanwhile, connection)

    def add_settled(self, row: OutboxRow, delivery: DeliveryAttempt) -> None:
        """Keep a message that went out past the outbox, and the evidence of its one try."""
        state = OutboxState.SENT if delivery.outcome is SendOutcome.SENT else OutboxState.FAILED
        done = replace(row, state=state, attempts=1, settled_at=delivery.at, detail=delivery.detail)
        with self._database.write() as connection:
            self._insert([done], connection)
            connection.execute(sa.insert(deliveries), [_delivery_values(delivery)])

    def list_attempts(self, key: str) -> tuple[DeliveryAttempt, ...]:
        """The evidence of all tries of a message, oldest first."""
        query = sa.select(deliveries).where(deliveries.c.key == key).order_by(deliveries.c.sequence)
        with self._database.read() as connection:
            return tuple(_delivery(row) for row in connection.execute(query))

    def last_attempts(self) -> Mapping[str, DeliveryAttempt]:
        """The last try on each channel: whether a channel is up, as far as is known."""
        joined = deliveries.join(outbox, outbox.c.key == deliveries.c.key)
        newest = sa.select(sa.func.max(deliveries.c.sequence)).select_from(joined).group_by(outbox.c.channel)
        query = sa.select(outbox.c.channel, deliveries).select_from(joined)
        with self._database.read() as connection:
            rows = connection.execute(query.where(deliveries.c.sequence.in_(newest)))
            return {row.channel: _delivery(row) for row in rows}

    def list_newest_attempts(self, limit: int) -> tuple[tuple[OutboxRow, DeliveryAttempt], ...]:
        """The newest tries of all messages, each with its message, newest first."""
        # The newest by number, which needs no index, and only then their messages.
        newest = sa.select(deliveries).order_by(deliveries.c.sequence.desc()).limit(limit)
        with self._database.read() as connection:
            tries = [_delivery(row) for row in connection.execute(newest)]
            keys = list({one.key for one in tries})
            rows: dict[str, OutboxRow] = {}
            for first in range(0, len(keys), _MOST_KEYS):
                query = sa.select(outbox).where(outbox.c.key.in_(keys[first : first + _MOST_KEYS]))
                rows |= {row.key: _row(row) for row in connection.execute(query)}
        return tuple((rows[one.key], one) for one in tries if one.key in rows)

    def backlog(self, now: datetime) -> Backlog:
        """What is due and has not gone out."""
        query = sa.select(sa.func.count(), sa.func.min(outbox.c.due_at, type_=outbox.c.due_at.type)).where(
            outbox.c.state == OutboxState.PENDING.value, outbox.c.due_at <= now
        )
        with self._database.read() as connection:
            count, oldest = connection.execute(query).one()
            return Backlog(count, oldest)

    def _insert(self, rows: Sequence[OutboxRow], connection: sa.Connection) -> int:
        keys = [row.key for row in rows]
        # If another transaction inserts the same key in between, the primary key refuses one of the two. That one is
        # rolled back, and finds the key when it is repeated.
        known = set(connection.execute(sa.select(outbox.c.key).where(outbox.c.key.in_(keys))).scalars())
        new = list({row.key: row for row in rows if row.key not in known}.values())
        if new:
            connection.execute(sa.insert(outbox), [self._values(row) for row in new])
        return len(new)

    def _settle(
        self,
        row: OutboxRow,
        state: OutboxState,
        delivery: DeliveryAttempt,
        only_from: Sequence[OutboxState],
        connection: sa.Connection,
    ) -> bool:
        query = sa.update(outbox).where(
            outbox.c.key == row.key, outbox.c.state.in_([allowed.value for allowed in only_from])
        )
        # Claiming has moved `due_at` ahead. What is stored in the end is when the message was really due.
        values = {"state": state.value, "settled_at": delivery.at, "detail": delivery.detail, "due_at": row.due_at}
        connection.execute(sa.insert(deliveries), [_delivery_values(delivery)])
        return connection.execute(query.values(**values)).rowcount > 0

    def _locked(self, incident_id: str | None, connection: sa.Connection) -> tuple[OutboxRow, ...]:
        """The messages about an incident, held until the transaction ends; always in the same order."""
        # In one order everywhere, or two transactions could each wait for a row that the other has locked. SQLite has
        # no FOR UPDATE and needs none: its write transactions run one at a time.
        query = sa.select(outbox).where(outbox.c.incident_id == incident_id).order_by(outbox.c.key).with_for_update()
        return tuple(_row(row) for row in connection.execute(query))

    def _values(self, row: OutboxRow) -> dict[str, Any]:
        return {column.name: getattr(row, column.name) for column in outbox.columns} | {
            "payload": self._redact(dict(row.payload)),
            "state": row.state.value,
        }


@cache
def _sendable() -> sa.ColumnElement[bool]:
    """Pending, the first of its stream, and due at `now`, a parameter; or held back, when something later of its stream
    is due.

    A stream is what one address hears of one incident on one channel. It is told in order: who may be disturbed by a
    later part of the story hears its beginning first, and never of an end before the beginning.
    """
    # Made once, because it is asked every second, and to make it takes longer than to ask.
    now = sa.bindparam("now", type_=outbox.c.due_at.type)
    earlier, later = outbox.alias("earlier"), outbox.alias("later")
    pending = OutboxState.PENDING.value
    before = sa.exists().where(_same_stream(earlier), earlier.c.state == pending, _place(earlier) < _place(outbox))
    after = sa.exists().where(
        _same_stream(later), later.c.state == pending, later.c.due_at <= now, _place(later) > _place(outbox)
    )
    # Only one that was never tried may go early. After a failure it waits as long as the receiver asked, or as the
    # back-off says.
    may_go = sa.or_(outbox.c.due_at <= now, sa.and_(outbox.c.attempts == 0, after))
    return sa.and_(outbox.c.state == pending, may_go, ~before)


def _same_stream(other: sa.FromClause) -> sa.ColumnElement[bool]:
    same = (other.c[name] == outbox.c[name] for name in ("incident_id", "channel"))
    # By the recipient rather than the contact: of those who share an address, each message may name others first.
    return sa.and_(*same, _recipient(other) == _recipient(outbox))


def _recipient(table: sa.FromClause) -> sa.ColumnElement[str]:
    return sa.func.coalesce(table.c.address, table.c.contact)


def _place(table: sa.FromClause) -> sa.Tuple:
    """Where a message stands in its stream; what was put at the same moment begins with the beginning."""
    # The names are those of `NoticeKind`, which storage may not import: notifications are a layer above.
    rank = sa.case({"initial": 0, "resolved": 2, "cancelled": 2, "reminder": 2}, value=table.c.kind, else_=1)
    return sa.tuple_(table.c.created_at, rank, table.c.key)


def _row(row: sa.Row[Any]) -> OutboxRow:
    urgency = MOST_URGENT if row.urgency is None else row.urgency
    read = {"state": OutboxState(row.state), "urgency": urgency, "refusals": row.refusals or 0}
    return OutboxRow(**{**row._mapping, **read})


def _delivery_values(delivery: DeliveryAttempt) -> dict[str, Any]:
    return {
        "key": delivery.key,
        "at": delivery.at,
        "outcome": delivery.outcome.value,
        "seconds": delivery.seconds,
        "detail": delivery.detail,
    }


def _delivery(row: sa.Row[Any]) -> DeliveryAttempt:
    return DeliveryAttempt(row.key, row.at, SendOutcome(row.outcome), row.seconds, row.detail)
