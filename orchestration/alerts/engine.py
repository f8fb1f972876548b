"""The engine: signals and notices in, alerts kept, and the desk told what is worth telling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.alerts.active_alerts import ActiveAlerts, is_open
from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.group_notifier import GroupNotifier
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.inhibition import Inhibition, inhibitions
from orchestration.alerts.model import Alert
from orchestration.alerts.ports import IncidentReporter
from orchestration.alerts.records import decision_of, from_row
from orchestration.alerts.rulebook import Rulebook, timing_of
from orchestration.alerts.signal import Signal
from orchestration.alerts.silences import Silence, readable
from orchestration.alerts.stages import NotifyDecision, StageContext, run_stages
from orchestration.alerts.write_buffer import AlertWriteBuffer
from orchestration.config.alerting import AlertingSettings
from orchestration.config.schema import Configuration
from orchestration.events import EventBus
from orchestration.events.alerts import AlertFired, AlertResolved
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery
from orchestration.storage.alerts import Alerts
from orchestration.storage.silences import Silences

_NOTICES_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation did. `told` and `cleared` are the keys of groups."""

    told: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    decisions: tuple[NotifyDecision, ...] = ()


class AlertEngine:
    """Turns what is seen into alerts, and alerts into reports.

    `take` may be called on any thread; all else belongs to one thread at a time, and may block. What is kept outlives a
    restart: alerts, holds that are running, and what the desk was told.
    """

    def __init__(
        self,
        alerts: Alerts,
        silences: Silences,
        inbox: AlertInbox,
        reporter: IncidentReporter,
        configuration: Callable[[], Configuration],
        redact: Redact,
        bus: EventBus,
    ) -> None:
        self.troubles = ErrorIsolation()
        self.rulebook = Rulebook(self.troubles)
        self._alerts = alerts
        self._silences = silences
        self._inbox = inbox
        self._configuration = configuration
        self._reporter = reporter
        self._redact = redact
        self._bus = bus
        self._in_force: tuple[Silence, ...] = ()
        self.start_over()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All alerts in memory: pending, firing, and lately resolved."""
        return tuple(self._memory)

    def take(self, signal: Signal) -> None:
        """Accept a signal; it counts from the next evaluation on. Never blocks, and unknown names do no harm."""
        self.rulebook.take(signal)

    def recall(self, signals: Iterable[Signal]) -> None:
        """Have rules that count go on with what was seen shortly before, oldest first; for after `start_over`."""
        self.rulebook.recall(signals)

    def start_over(self) -> None:
        """Forget what is in memory; the next evaluation goes on from what is kept. For a process that leads again after
        another one did: what it remembers is no longer true."""
        self.rulebook.forget()
        self._telling = GroupNotifier(self._alerts, self._reporter, self._redact, self.troubles)
        self._ledger = AlertWriteBuffer(self._redact)
        self._memory = ActiveAlerts()
        self._loaded = False

    def load(self, now: datetime) -> None:
        """Go on where the last process stopped. `evaluate` does it when it has not been done, as soon as it can."""
        rows = self._alerts.list_unfinished(now - self._looks_back())
        kept: list[tuple[Alert, NotifyDecision | None]] = []
        for row in rows:
            with self.troubles.contained(f"kept alert {row.name}"):
                kept.append((from_row(row), decision_of(row)))
        self._telling.load()
        self._memory.restore(alert for alert, _ in kept)
        self._ledger.restore(kept)
        self._loaded = True

    def evaluate(self, now: datetime) -> Evaluation:
        """Look at everything once.

        1. Signals go into the windows, and each rule is judged. 2. Notices from outside are applied. 3. The stages
        decide. 4. What has changed is written; the inbox is emptied in the same transaction. 5. The desk is told, and
        that is written too. Whatever fails on the way is contained, and is tried again the next time.
        """
        if not self._loaded:
            with self.troubles.contained("loading"):
                self.load(now)
        with self.troubles.contained("configuration"):
            self.rulebook.configure(self._configuration())
        before = self._memory.firing()
        self._judge(now)
        taken: list[int] = []
        with self.troubles.contained("inbox"):
            taken = self._hear_all(now)
        context = self._context(now)
        kept, decisions = run_stages(context.alerts, context)
        self._save(context.alerts, decisions, taken)
        with self.troubles.contained("events"):
            self._say(before, context.alerts, {decision.alert: decision for decision in decisions})
        told = self._telling.tell(kept, context)
        gone = self._telling.clear(kept, context)
        self._telling.save()
        self._forget(now)
        return Evaluation(told, gone, decisions)

    @property
    def _settings(self) -> AlertingSettings:
        return self._configuration().alerting

    def _judge(self, now: datetime) -> None:
        own = [alert for alert in self._memory.own() if is_open(alert)]
        for seen, timing in self.rulebook.look(now, own):
            with self.troubles.contained(f"alert {seen.name}"):
                self._memory.see(seen, timing, now)

    def _hear_all(self, now: datetime) -> list[int]:
        """Apply what is in the inbox; returns the numbers of the deliveries with which that was done.

        It stops before a delivery that would end an alert which began in this very evaluation: what begins and ends
        between two looks is told all the same, its end the next time.
        """
        taken = []
        known = self._memory.firing()
        timing = timing_of(self._settings)
        for delivery in self._inbox.list(_NOTICES_AT_ONCE):
            notices = list(self._readable(delivery))
            if any(self._memory.would_end(one, delivery.source, known) for one in notices):
                break
            for notice in notices:
                with self.troubles.contained(f"notice {delivery.source}"):
                    self._memory.hear(notice, delivery.source, timing, now)
            taken.append(delivery.sequence)
        self._memory.pass_time(timing, self._settings.intake.forget_seconds, now)
        return taken

    def _readable(self, delivery: InboxDelivery) -> list[InboundAlert]:
        result: list[InboundAlert] = []
        for data in delivery.notices:
            with self.troubles.contained(f"notice {delivery.source}"):
                result.append(InboundAlert.from_json(data))
        return result

    def _context(self, now: datetime) -> StageContext:
        with self.troubles.contained("silences"):
            self._in_force = readable(self._silences.list(now))
        return StageContext(
            now,
            tuple(self._memory),
            self._in_force,
            self._inhibitions(),
            dict(self._telling.told),
            self._settings.repeat_seconds,
        )

    def _save(self, alerts: Sequence[Alert], decisions: Sequence[NotifyDecision], taken: Sequence[int]) -> None:
        due = self._ledger.due(alerts, {decision.alert: decision for decision in decisions})
        dropped = self._memory.dropped
        if not (due or dropped or taken):
            return
        with self.troubles.contained("saving alerts"):
            self._alerts.save(self._ledger.rows(due), sorted(dropped), taken)
            self._ledger.written(due)
            self._memory.dropped = set()

    def _say(self, before: set[str], alerts: Sequence[Alert], decisions: Mapping[str, NotifyDecision]) -> None:
        """Let everybody hear of what began and of what ended in this evaluation."""
        for alert in alerts:
            began, ended = alert.firing and alert.id not in before, alert.resolved and alert.id in before
            if began or ended:
                kind = AlertFired if began else AlertResolved
                payload = kind(
                    alert=alert.id,
                    name=alert.name,
                    group=alert.group,
                    decision=decisions[alert.id].reason.value,
                    message=alert.title,
                    drill=alert.drill,
                )
                run_id, agent = (alert.matchable.get(label) or None for label in ("run", "agent"))
                self._bus.publish(payload, run_id=run_id, agent=agent)

    def _forget(self, now: datetime) -> None:
        kept = frozenset[str]().union(*(told.alerts for told in self._telling.told.values()))
        self._memory.forget_old(now - self._looks_back(), kept)
        self._ledger.keep_only(self._memory)

    def _inhibitions(self) -> tuple[Inhibition, ...]:
        return inhibitions(self._settings)

    def _looks_back(self) -> timedelta:
        """For how long an alert that is over still matters: to flapping, and to what follows from it."""
        lingers = [one.linger for one in self._inhibitions()]
        return timedelta(seconds=max([self._settings.flapping.window, *lingers]))
