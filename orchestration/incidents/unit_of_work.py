"""The unit of work: a change of an incident is written whole or not at all, and then published.

One transaction holds the incident, its timeline, its timers and the messages about it. Only after the commit is the
change published on the bus. Every change is a compare-and-set on the incident's version, so that any number of
processes may write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from orchestration.clock import Clock
from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.errors import ConflictError, NotFoundError
from orchestration.events import EventBus
from orchestration.events.catalogue import incident_event
from orchestration.incidents import notices
from orchestration.incidents.change import IncidentChange, Notification
from orchestration.incidents.model import Actor, Incident
from orchestration.incidents.records import IncidentRecords
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.storage.database import Database
from orchestration.storage.incidents.table import EntryRow
from orchestration.storage.outbox import Outbox, OutboxRow, OutboxState

T = TypeVar("T")
Planner = Callable[[Notice, Sequence[Contact], ResponseSettings, str, datetime], tuple[OutboxRow, ...]]
Handling = Callable[[IncidentChange], None]
# Contacts and channels that have been notified already, without the outbox.
Reached = frozenset[tuple[str, str]]

# Each lost race means that another process made progress; so many in a row mean that something is wrong.
_TRIES = 50
# The process that committed a change publishes it within milliseconds. One that is unpublished for longer belongs to a
# process that died; publishing sooner would mostly publish twice.
_ANNOUNCED_WITHIN_SECONDS = 5.0
_ANNOUNCED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Ports:
    """What the incident service uses besides the database.

    `settings` returns the response settings in force, and reads no database; `prepare` is called before a transaction
    and may read what they rest on. `plan` turns a notice into messages, `redact` hides secrets in
    JSON values, `playbook` names the playbook of a scenario, `url` is the address of an incident's page. `reached` is
    called with the name of each fault point, at which tests kill the process: `committed`, `announced`.
    """

    settings: Callable[[], ResponseSettings]
    plan: Planner
    redact: Callable[[Any], Any]
    playbook: Callable[[Scenario], str] = str
    url: Callable[[str], str] = lambda _: ""
    prepare: Callable[[], None] = lambda: None
    reached: Callable[[str], None] = lambda _: None


class StaleError(Exception):
    """The incident was changed by another process in the meantime."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """The result of a transaction, and what is to be published once it is committed."""

    result: T
    announcements: tuple[tuple[Incident, EntryRow], ...] = ()


class UnitOfWork:
    """Writes changes. Raises SQLAlchemyError while the database is unavailable, and whatever a handling raises."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock, ports: Ports) -> None:
        self.records = IncidentRecords(database)
        self._database = database
        self._outbox = Outbox(database)
        self._bus = bus
        self._clock = clock
        self._ports = ports

    def run(self, work: Callable[[sa.Connection], Committed[T]]) -> T:
        """1. Do the work in a transaction. 2. If another process was quicker, repeat it on the new state. 3. After the
        commit, publish what happened; if the process dies before, `announce_pending` of any process does that."""
        self._ports.prepare()
        for _ in range(_TRIES):
            try:
                with self._database.write() as connection:
                    written = work(connection)
            # IntegrityError: another process has opened an incident of the same key first, or stored the same settings.
            except (StaleError, IntegrityError):
                continue
            self._ports.reached("committed")
            self._announce(written.announcements)
            return written.result
        raise ConflictError("the incident was changed by others again and again; try again")

    def announce_pending(self, now: datetime) -> None:
        """Publish what was committed but never published, because a process died in between."""
        before = now - timedelta(seconds=_ANNOUNCED_WITHIN_SECONDS)
        # At most so many per round, so that the timers do not wait long after an outage.
        rows = self.records.table.list_unannounced(before, _ANNOUNCED_AT_ONCE)
        self._announce([(self._readable(row.incident_id), row) for row in rows])

    def _announce(self, announcements: Sequence[tuple[Incident | None, EntryRow]]) -> None:
        if not announcements:
            return
        for incident, row in announcements:
            about = {} if incident is None else _about(incident)
            kind = incident_event(row.kind)
            if kind is not None:
                self._bus.publish(kind(row.incident_id, **about, detail=row.data), actor=row.actor)
            else:  # written by another release
                unlisted = f"incident.{row.kind.replace('-', '_')}"
                self._bus.emit(unlisted, actor=row.actor, incident=row.incident_id, **about, detail=dict(row.data))
        self._ports.reached("announced")
        with contextlib.suppress(SQLAlchemyError):  # then it is published once more, which subscribers tolerate
            self.records.table.mark_announced([row.sequence for _, row in announcements])

    def _readable(self, incident_id: str) -> Incident | None:
        """None for an incident whose document is broken: it must not block the announcements of the others."""
        try:
            return self.records.get(incident_id)
        except (ValueError, NotFoundError):
            return None

    def change(self, incident_id: str, actor: Actor, handling: Handling, now: datetime | None = None) -> Incident:
        def work(connection: sa.Connection) -> Committed[Incident]:
            incident = self.records.load(connection, incident_id)
            return self.handle(connection, incident, actor, handling, now)

        return self.run(work)

    def handle(
        self,
        connection: sa.Connection,
        incident: Incident,
        actor: Actor,
        handling: Handling,
        now: datetime | None = None,
    ) -> Committed[Incident]:
        # Rules and targets are those of the detection; who is on call is what is planned now.
        settings = self.records.policy(connection, incident.policy).with_roster(self._ports.settings().roster)
        change = IncidentChange(incident, settings, now or self._clock.now(), actor)
        handling(change)
        return self.write(connection, change, incident)

    def write(
        self, connection: sa.Connection, change: IncidentChange, before: Incident | None, reached: Reached = frozenset()
    ) -> Committed[Incident]:
        change.finish()
        # Without a new version: a command that changes nothing must not make another process repeat its own.
        if before is not None and not change.changed:
            return Committed(before)
        incident = replace(change.incident, version=change.incident.version + 1)
        if before is None:
            self.records.add(connection, incident)
        elif not self.records.replace(connection, before, incident):
            # Rolls back everything that this attempt has written.
            raise StaleError
        written_at = self._clock.now()
        # Here and not in the commands, so that no entry can reach the database unredacted.
        entries = [replace(entry, data=self._ports.redact(dict(entry.data))) for entry in change.entries]
        rows = self.records.append(connection, incident.id, entries, written_at)
        self.records.set_timers(connection, incident, change.settings, written_at)
        # In this transaction: once an acknowledgement is committed, no sender can claim another page.
        if any(each.kind.closes for each in change.notifications):
            self._outbox.cancel_overtaken(incident.id, change.now, connection)
        elif change.stops_pages:
            self._outbox.cancel_pages(incident.id, change.now, connection)
        for each in change.notifications:
            messages = self._messages(incident, each, change)
            self._outbox.add([_unless_told(row, reached, change.now) for row in messages], connection)
        return Committed(incident, tuple((incident, row) for row in rows))

    def _messages(self, incident: Incident, told: Notification, change: IncidentChange) -> tuple[OutboxRow, ...]:
        notice = notices.notice(incident, told, self._ports.url(incident.id))
        rows = self._ports.plan(notice, told.contacts, change.settings, told.step, change.now)
        return tuple(replace(row, stops_on_acknowledge=False) for row in rows) if told.lasting else rows


def _unless_told(row: OutboxRow, reached: Reached, now: datetime) -> OutboxRow:
    if row.kind != NoticeKind.INITIAL.value or (row.contact, row.channel) not in reached:
        return row
    # The row stays as a record that this contact was notified, without being sent again.
    return replace(row, state=OutboxState.SENT, settled_at=now, detail="told while the database was away")


def _about(incident: Incident) -> dict[str, Any]:
    return {
        "scenario": incident.scenario.value,
        "severity": incident.severity.value,
        "status": incident.status.value,
        "drill": incident.drill,
    }
