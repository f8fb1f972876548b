"""The incident service: the only writer of incidents.

One transaction holds the incident, its timeline, its timers and the messages about it; they are committed together or
not at all. Only then is the change published on the bus. Timers are rows in a table of ours rather than timers of the
durable engine: a row in the same transaction is simpler, survives as well, and cannot be forgotten when the incident
changes.

Any number of processes may use a service each; `unit_of_work` explains how that is safe.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.config.response import ResponseSettings
from orchestration.events import EventBus
from orchestration.ids import new_id
from orchestration.incidents import conditions, followup, lifecycle, timers
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand
from orchestration.incidents.commands.merge import Merge, absorb
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.escalation import IncidentTimer
from orchestration.incidents.lifecycle import Correlation, DetectionSnapshot
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError, Refusal, reporter_of
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.unit_of_work import Committed, Ports, Reached, UnitOfWork
from orchestration.storage.database import Database
from orchestration.storage.incidents.table import TimerRow

__all__ = ["IncidentService", "Ports"]

# What is left stays due, and follows in the next round, a second later.
_TIMERS_AT_ONCE = 200
_POSTPONED_SECONDS = 60.0
# Must fit the column of 255 characters: PostgreSQL would refuse a longer key, SQLite would store it.
_LONGEST_KEY = 200


class IncidentService:
    """Opens incidents from reports, applies commands to them, and fires their timers.

    Every method raises SQLAlchemyError while the database is unavailable; `journal` covers for that.
    """

    def __init__(self, database: Database, bus: EventBus, clock: Clock, ports: Ports) -> None:
        self._unit_of_work = UnitOfWork(database, bus, clock, ports)
        self.records = self._unit_of_work.records
        self._clock = clock
        self._ports = ports

    def open_or_join(
        self, report: TroubleReport, incident_id: str | None = None, reached: Reached = frozenset()
    ) -> Incident:
        """Open an incident for a report, or let the report join or reopen the incident of the same key.

        `incident_id` names a new incident that has been announced already, to those in `reached`, while the database
        was unavailable. A report that is older than what is known, or about a false alarm that continues, changes
        nothing.
        """
        clean = self.clean(report)
        return self._unit_of_work.run(lambda connection: self._open_or_join(connection, clean, incident_id, reached))

    def mark_cleared(self, key: str, at: datetime, *, observed: bool = True) -> Incident | None:
        """Record that the alerts of a group are gone since `at`; or, not `observed`, that nothing is heard of them.

        Once every alert of the incident has been observed to be gone, and nothing else is left to be repaired, the
        incident is resolved.
        """
        return self._unit_of_work.run(
            lambda connection: self._mark_cleared(connection, _short(key), at, observed=observed)
        )

    def mark(self, key: str, *, silence: str, flapping: bool) -> Incident | None:
        """Record which silence covers the alerts of a group, none if it is empty; and whether they come and go."""
        return self._unit_of_work.run(
            lambda connection: self._mark(connection, _short(key), silence=silence, flapping=flapping)
        )

    def declare(self, by: str, command: OpeningCommand) -> Incident:
        """Open an incident on the word of a person. What has been declared already, and is open, is only added to, so
        that a request may be repeated. Raises UsageError for an impossible start."""
        return self.open_or_join(command.report(by, self._clock.now()))

    def execute(self, incident_id: str, actor: Actor, command: IncidentCommand) -> Incident:
        """Apply a command. A merge returns the incident that continues.

        Raises NotFoundError, and IncidentRefusedError with a reason where the incident's state does not allow it.
        """
        if isinstance(command, Merge):
            # People name an incident by the end of its identifier; what is stored and compared below is the whole of
            # it.
            command = Merge(self.records.table.find_id(command.into))
        clean = command.redacted(self._text)
        return self._unit_of_work.run(lambda connection: self._execute(connection, incident_id, actor, clean))

    def fire_due_timers(self, now: datetime) -> int:
        """Do everything that is due at `now`, however long ago it fell due; returns how much that was.

        1. Say what was committed and never said, because a process died in between. 2. Fire each timer in a transaction
        of its own, and ask the incident again before. 3. One that cannot be fired waits a minute before the error is
        raised, so that it does not keep the others from their change.
        """
        self._unit_of_work.announce_pending(now)
        count = 0
        for timer in self.records.table.list_due_timers(now, _TIMERS_AT_ONCE):
            count += self._fire(timer, now)
        return count

    def clean(self, report: TroubleReport) -> TroubleReport:
        """The report without secrets, and with a key that fits its column."""
        return replace(
            report,
            key=_short(report.key),
            title=self._text(report.title),
            summary=self._text(report.summary),
            impact=self._text(report.impact),
            labels=self._ports.redact(dict(report.labels)),
            evidence=tuple(self._ports.redact(dict(piece)) for piece in report.evidence),
            duties=tuple(
                replace(duty, subject=self._text(duty.subject), summary=self._text(duty.summary))
                for duty in report.duties
            ),
        )

    def _fire(self, timer: TimerRow, now: datetime) -> bool:
        fired = False

        def handling(change: IncidentChange) -> None:
            nonlocal fired
            timers.fire(change, IncidentTimer(timer.kind))
            fired = change.changed

        try:
            self._unit_of_work.change(timer.incident_id, Actor("timer"), handling, now)
        except Exception:
            # If the database is why it failed, postponing fails, too; the next round then finds the timer as it was.
            with contextlib.suppress(SQLAlchemyError):
                self.records.table.postpone_timer(timer, now + timedelta(seconds=_POSTPONED_SECONDS))
            raise
        return fired

    def _open_or_join(
        self, connection: sa.Connection, report: TroubleReport, incident_id: str | None, reached: Reached
    ) -> Committed[Incident]:
        latest = self.records.latest_of_key(connection, report.key)
        actor = reporter_of(report)
        match lifecycle.correlate(latest, report, self._settings_of(connection, latest)):
            case Correlation.JOINS if latest is not None:
                return self._unit_of_work.handle(
                    connection, latest, actor, lambda change: lifecycle.absorb(change, report)
                )
            case Correlation.REOPENS if latest is not None:
                return self._unit_of_work.handle(connection, latest, actor, lambda change: _come_back(change, report))
            case Correlation.RECURS if latest is not None:
                return self._declare(connection, report, incident_id, latest, reached)
            case Correlation.STALE | Correlation.FALSE_ALARM if latest is not None:
                return Committed(latest)
            case _:
                return self._declare(connection, report, incident_id, None, reached)

    def _declare(
        self,
        connection: sa.Connection,
        report: TroubleReport,
        incident_id: str | None,
        earlier: Incident | None,
        reached: Reached,
    ) -> Committed[Incident]:
        now = self._clock.now()
        settings = self._ports.settings()
        policy = self.records.save_policy(connection, settings)
        expected = self.records.past_durations(connection, report.key, report.scenario)
        snapshot = DetectionSnapshot(settings, policy, self._ports.playbook(report.scenario), expected)
        name = incident_id or new_id("inc", now.timestamp())
        change = lifecycle.declare(name, report, snapshot, now, earlier.id if earlier else None)
        written = self._unit_of_work.write(connection, change, None, reached)
        if earlier is None:
            return written
        # In the same transaction, so that the recurrence rate cannot miss it.
        linked = self._unit_of_work.handle(
            connection, earlier, change.actor, lambda old: followup.link_recurrence(old, name)
        )
        return Committed(written.result, (*written.announcements, *linked.announcements))

    def _mark_cleared(
        self, connection: sa.Connection, key: str, at: datetime, *, observed: bool
    ) -> Committed[Incident | None]:
        latest = self.records.latest_of_key(connection, key)
        if latest is None:
            return Committed(None)
        written = self._unit_of_work.handle(
            connection, latest, Actor("monitoring"), lambda change: conditions.clear(change, key, at, observed=observed)
        )
        return Committed(written.result if written.result.status.is_open else None, written.announcements)

    def _mark(self, connection: sa.Connection, key: str, *, silence: str, flapping: bool) -> Committed[Incident | None]:
        latest = self.records.latest_of_key(connection, key)
        if latest is None or not latest.status.is_open:
            return Committed(latest)

        def handle(change: IncidentChange) -> None:
            conditions.silence(change, key, silence)
            conditions.note_flapping(change, key, flapping=flapping)

        written = self._unit_of_work.handle(connection, latest, Actor("monitoring"), handle)
        return Committed(written.result, written.announcements)

    def _execute(
        self, connection: sa.Connection, incident_id: str, actor: Actor, command: IncidentCommand
    ) -> Committed[Incident]:
        incident = self.records.load(connection, incident_id)
        match command:
            case Merge():
                return self._merge(connection, incident, actor, command)
            case Reopen():
                self._require_none_open(connection, incident)
        return self._unit_of_work.handle(connection, incident, actor, command.apply)

    def _require_none_open(self, connection: sa.Connection, incident: Incident) -> None:
        """Two open incidents of one key would split its reports between them."""
        newest = self.records.latest_of_key(connection, incident.key)
        if newest is not None and newest.id != incident.id and newest.status.is_open:
            raise IncidentRefusedError(
                Refusal.ANOTHER_IS_OPEN,
                f"{incident.id} cannot be reopened: {newest.id} is open for the same problem; work on that one",
            )

    def _merge(
        self, connection: sa.Connection, incident: Incident, actor: Actor, command: Merge
    ) -> Committed[Incident]:
        # The target goes first: where it refuses, nothing has been written yet.
        target = self.records.load(connection, command.into)
        absorbed = self._unit_of_work.handle(connection, target, actor, lambda change: absorb(change, incident))
        merged = self._unit_of_work.handle(connection, incident, actor, command.apply)
        return Committed(absorbed.result, (*merged.announcements, *absorbed.announcements))

    def _settings_of(self, connection: sa.Connection, incident: Incident | None) -> ResponseSettings:
        # An incident keeps the settings of its detection, so an edit does not change how long it may be reopened.
        return self._ports.settings() if incident is None else self.records.policy(connection, incident.policy)

    def _text(self, text: str) -> str:
        return str(self._ports.redact(text))


def _come_back(change: IncidentChange, report: TroubleReport) -> None:
    reason = "it was declared again" if report.asserted_by else f"{report.source} has seen it again"
    lifecycle.reopen(change, reason, report.at)
    change.set(last_seen_at=max(change.incident.last_seen_at, report.at), title=report.title, summary=report.summary)
    lifecycle.absorb(change, report)


def _short(key: str) -> str:
    """A key that fits its column; a long one ends in its digest."""
    if len(key) <= _LONGEST_KEY:
        return key
    # Two long keys may share their beginning; the digest keeps their incidents apart.
    return f"{key[: _LONGEST_KEY - 65]}:{hashlib.sha256(key.encode()).hexdigest()}"
