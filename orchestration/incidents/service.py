"""The desk: the only writer of incidents.

One transaction holds the incident, its timeline, what waits for it, and the messages about it; they stand or fall
together. Only then is it said on the bus. What waits stands in a table of ours and not in the durable engine: a row in
the same transaction is simpler, survives as well, and cannot be forgotten when the incident changes.

Any number of processes may use a desk each; how that is kept safe is in `ledger`.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.config.response import ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.events import EventBus
from orchestration.ids import new_id
from orchestration.incidents import closing, intake, response, timers
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.escalation import IncidentTimer
from orchestration.incidents.intake import Correlation, DetectionSnapshot
from orchestration.incidents.model import Actor, Incident, IncidentRefusedError, Refusal, ReviewField
from orchestration.incidents.report import TroubleReport
from orchestration.incidents.unit_of_work import Committed, Ports, Reached, UnitOfWork
from orchestration.storage.database import Database
from orchestration.storage.incidents.table import TimerRow

__all__ = ["IncidentService", "Ports"]

_TIMERS_AT_ONCE = 200
_POSTPONED_SECONDS = 60.0
_LONGEST_KEY = 200


class IncidentService:
    """What can be done to incidents.

    Every method returns the incident as it is afterwards. Those that take an id raise NotFoundError, and RefusedError
    with a reason where it cannot be done. All raise SQLAlchemyError while the database is away; see `journal`.
    """

    def __init__(self, database: Database, bus: EventBus, clock: Clock, ports: Ports) -> None:
        self._ledger = UnitOfWork(database, bus, clock, ports)
        self.records = self._ledger.records
        self._clock = clock
        self._ports = ports

    def open_or_join(
        self, report: TroubleReport, incident_id: str | None = None, reached: Reached = frozenset()
    ) -> Incident:
        """Take a trouble in: it joins, reopens or recurs, or a new incident begins.

        `incident_id` is for a new one that has been told of already under that name, to those in `reached`. A report
        that is older than what is known of the trouble, or about a false alarm that merely goes on, changes nothing.
        """
        clean = self.clean(report)
        return self._ledger.run(lambda connection: self._take(connection, clean, incident_id, reached))

    def mark_cleared(self, key: str, at: datetime) -> Incident | None:
        """The trouble was not seen any more at `at`. Once that has lasted, its incident is resolved. None without."""
        return self._ledger.run(lambda connection: self._clear(connection, _short(key), at))

    def acknowledge(self, incident_id: str, actor: Actor) -> Incident:
        """Take it. A person's acknowledgement stops every page that has not gone out, in the same transaction."""
        return self._ledger.change(incident_id, actor, response.acknowledge)

    def note(self, incident_id: str, actor: Actor, text: str) -> Incident:
        """Write on the timeline."""
        return self._ledger.change(incident_id, actor, lambda turn: response.note(turn, self._text(text)))

    def assign(self, incident_id: str, actor: Actor, contact: str) -> Incident:
        """Put it into somebody's hands."""
        return self._ledger.change(incident_id, actor, lambda turn: response.assign(turn, contact))

    def set_impact(self, incident_id: str, actor: Actor, text: str, started_at: datetime | None = None) -> Incident:
        """Say whom it hurts, and since when."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.set_impact(turn, self._text(text), started_at)
        )

    def set_eta(self, incident_id: str, actor: Actor, eta: datetime | None) -> Incident:
        """Say when it will be resolved; beyond the target, that escalates."""
        return self._ledger.change(incident_id, actor, lambda turn: response.set_eta(turn, eta))

    def raise_severity(self, incident_id: str, actor: Actor, severity: Severity, reason: str) -> Incident:
        """Make it worse."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.raise_severity(turn, severity, self._text(reason))
        )

    def lower_severity(self, incident_id: str, actor: Actor, severity: Severity, reason: str) -> Incident:
        """Make it less bad; only a person may."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.lower_severity(turn, severity, self._text(reason))
        )

    def escalate(
        self, incident_id: str, actor: Actor, level: int, reason: str, *, unless_taken: bool = False
    ) -> Incident:
        """Tell a level, 1 to 4, now; `unless_taken` only notes it where somebody has acknowledged the incident."""
        why = self._text(reason)
        return self._ledger.change(
            incident_id, actor, lambda turn: response.escalate(turn, level, why, unless_taken=unless_taken)
        )

    def request_approval(self, incident_id: str, actor: Actor, question: str) -> Incident:
        """Ask those who are told for a person's approval of what a playbook would do."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.request_approval(turn, self._text(question))
        )

    def begin_mitigation(self, incident_id: str, actor: Actor, action: str) -> Incident:
        """Do something about it; a further attempt while it is being mitigated is noted."""
        return self._ledger.change(incident_id, actor, lambda turn: response.begin_mitigation(turn, self._text(action)))

    def mitigation_failed(self, incident_id: str, actor: Actor, reason: str) -> Incident:
        """What was tried did not help; back to mitigating, and after so many times to the next level."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.mitigation_failed(turn, self._text(reason))
        )

    def mitigated(self, incident_id: str, actor: Actor, how: str) -> Incident:
        """The impact has stopped."""
        return self._ledger.change(incident_id, actor, lambda turn: response.mitigated(turn, self._text(how)))

    def begin_verification(self, incident_id: str, actor: Actor, how: str = "") -> Incident:
        """Watch whether the mitigation holds."""
        return self._ledger.change(incident_id, actor, lambda turn: response.begin_verification(turn, self._text(how)))

    def resolve(self, incident_id: str, actor: Actor, resolution: str, root_cause: str = "") -> Incident:
        """It is over; everybody who was told is told so."""
        what, why = self._text(resolution), self._text(root_cause)
        return self._ledger.change(incident_id, actor, lambda turn: closing.resolve(turn, what, why))

    def reopen(self, incident_id: str, actor: Actor, reason: str) -> Incident:
        """It is back: a new SLA record starts, and people are told again."""
        return self._ledger.run(lambda connection: self._reopen(connection, incident_id, actor, self._text(reason)))

    def cancel(self, incident_id: str, actor: Actor, reason: str) -> Incident:
        """It was a false alarm."""
        return self._ledger.change(incident_id, actor, lambda turn: closing.cancel(turn, self._text(reason)))

    def suppress(self, incident_id: str, actor: Actor, until: datetime, reason: str) -> Incident:
        """Keep quiet during maintenance; it is judged again when that ends."""
        return self._ledger.change(incident_id, actor, lambda turn: intake.suppress(turn, until, self._text(reason)))

    def merge(self, incident_id: str, actor: Actor, into: str) -> Incident:
        """It is the same trouble as another incident; returns that one."""
        return self._ledger.run(lambda connection: self._merge(connection, incident_id, actor, into))

    def close(self, incident_id: str, actor: Actor) -> Incident:
        """The review is complete."""
        return self._ledger.change(incident_id, actor, closing.close)

    def complete_review_field(self, incident_id: str, actor: Actor, field: ReviewField, text: str) -> Incident:
        """Write a part of the review."""
        return self._ledger.change(incident_id, actor, lambda turn: closing.write_review(turn, field, self._text(text)))

    def add_action(self, incident_id: str, actor: Actor, text: str, owner: str, due: date) -> Incident:
        """Something to be done, by whom and by when."""
        return self._ledger.change(
            incident_id, actor, lambda turn: response.add_action(turn, self._text(text), owner, due)
        )

    def finish_action(self, incident_id: str, actor: Actor, number: int) -> Incident:
        """An action item is done."""
        return self._ledger.change(incident_id, actor, lambda turn: response.finish_action(turn, number))

    def fire_due_timers(self, now: datetime) -> int:
        """Do everything that is due at `now`, however long ago it fell due; returns how much that was.

        1. Say what was committed and never said, because a process died in between. 2. Fire each timer in a transaction
        of its own, and ask the incident again before. 3. One that cannot be fired waits a minute before the error is
        raised, so that it does not keep the others from their turn.
        """
        self._ledger.announce_pending(now)
        count = 0
        for timer in self.records.table.list_due_timers(now, _TIMERS_AT_ONCE):
            count += self._fire(timer, now)
        return count

    def clean(self, report: TroubleReport) -> TroubleReport:
        """The report without any secret, and with a key that fits."""
        return replace(
            report,
            key=_short(report.key),
            title=self._text(report.title),
            summary=self._text(report.summary),
            labels=self._ports.redact(dict(report.labels)),
            evidence=tuple(self._ports.redact(dict(piece)) for piece in report.evidence),
        )

    def _fire(self, timer: TimerRow, now: datetime) -> bool:
        fired = False

        def handling(turn: IncidentChange) -> None:
            nonlocal fired
            timers.fire(turn, IncidentTimer(timer.kind))
            fired = turn.changed

        try:
            self._ledger.change(timer.incident_id, Actor("timer"), handling, now)
        except Exception:
            with contextlib.suppress(SQLAlchemyError):
                self.records.table.postpone_timer(timer, now + timedelta(seconds=_POSTPONED_SECONDS))
            raise
        return fired

    def _take(
        self, connection: sa.Connection, report: TroubleReport, incident_id: str | None, reached: Reached
    ) -> Committed[Incident]:
        latest = self.records.latest_of_key(connection, report.key)
        actor = Actor(report.source)
        match intake.correlate(latest, report, self._settings_of(connection, latest)):
            case Correlation.JOINS if latest is not None:
                return self._ledger.handle(connection, latest, actor, lambda turn: intake.absorb(turn, report))
            case Correlation.REOPENS if latest is not None:
                return self._ledger.handle(connection, latest, actor, lambda turn: _come_back(turn, report))
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
        snapshot = DetectionSnapshot(settings, policy, self._ports.playbook(report.scenario))
        name = incident_id or new_id("inc", now.timestamp())
        turn = intake.declare(name, report, snapshot, now, earlier.id if earlier else None)
        written = self._ledger.write(connection, turn, None, reached)
        if earlier is None:
            return written
        linked = self._ledger.handle(connection, earlier, turn.actor, lambda old: closing.link_recurrence(old, name))
        return Committed(written.result, (*written.announcements, *linked.announcements))

    def _clear(self, connection: sa.Connection, key: str, at: datetime) -> Committed[Incident | None]:
        latest = self.records.latest_of_key(connection, key)
        if latest is None:
            return Committed(None)
        written = self._ledger.handle(connection, latest, Actor("monitoring"), lambda turn: intake.clear(turn, at))
        return Committed(written.result if written.result.status.is_open else None, written.announcements)

    def _reopen(self, connection: sa.Connection, incident_id: str, actor: Actor, reason: str) -> Committed[Incident]:
        incident = self.records.load(connection, incident_id)
        newest = self.records.latest_of_key(connection, incident.key)
        if newest is not None and newest.id != incident.id and newest.status.is_open:
            raise IncidentRefusedError(
                Refusal.ANOTHER_IS_OPEN, f"expected a trouble without an open incident, got one with {newest.id}"
            )
        return self._ledger.handle(connection, incident, actor, lambda turn: intake.reopen(turn, reason))

    def _merge(self, connection: sa.Connection, incident_id: str, actor: Actor, into: str) -> Committed[Incident]:
        incident = self.records.load(connection, incident_id)
        target = self.records.load(connection, into)
        taken = self._ledger.handle(connection, target, actor, lambda turn: response.merge_in(turn, incident))
        merged = self._ledger.handle(connection, incident, actor, lambda turn: closing.merge(turn, into))
        return Committed(taken.result, (*merged.announcements, *taken.announcements))

    def _settings_of(self, connection: sa.Connection, incident: Incident | None) -> ResponseSettings:
        return self._ports.settings() if incident is None else self.records.policy(connection, incident.policy)

    def _text(self, text: str) -> str:
        return str(self._ports.redact(text))


def _come_back(turn: IncidentChange, report: TroubleReport) -> None:
    intake.reopen(turn, f"{report.source} has seen it again")
    turn.set(last_seen_at=max(turn.incident.last_seen_at, report.at))
    intake.absorb(turn, report)


def _short(key: str) -> str:
    """A key that fits its column; a long one ends in its digest."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY - 65]}:{hashlib.sha256(key.encode()).hexdigest()}"
