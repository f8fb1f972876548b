"""The alert engine: signals and inbound alerts in, stored alerts and incident reports out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestration.alerts.active_alerts import ActiveAlerts, is_open
from orchestration.alerts.adoption import alerts_of
from orchestration.alerts.batch_redaction import Redact
from orchestration.alerts.change_events import publish_changes
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.group_notifier import GroupNotifier
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.inhibition import Inhibition, inhibitions
from orchestration.alerts.maintenance_windows import silences_of
from orchestration.alerts.model import Alert
from orchestration.alerts.ports import IncidentReporter
from orchestration.alerts.records import decision_of, from_row
from orchestration.alerts.rulebook import Rulebook, timing_of
from orchestration.alerts.signal import Signal
from orchestration.alerts.silences import Silence, parse_silences
from orchestration.alerts.stages import (
    MUTING,
    REPORTING,
    NotifyDecision,
    RemainingAlerts,
    StageContext,
    run_stages,
)
from orchestration.alerts.storms import grouped
from orchestration.alerts.write_buffer import AlertWriteBuffer
from orchestration.config.alerting import AlertingSettings
from orchestration.config.schema import Configuration
from orchestration.domain.severity import Severity
from orchestration.events import EventBus
from orchestration.incidents.report import TroubleReport
from orchestration.storage.alert_inbox import AlertInbox, InboxDelivery
from orchestration.storage.alerts import Alerts
from orchestration.storage.silences import Silences

# A storm is taken in parts. One evaluation of all of it would keep the rules, and so our own alerts, waiting.
_ALERTS_PER_EVALUATION = 1000
# P0 and P1 do not wait behind what is less urgent.
_URGENT = Severity.P1


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation. `reported` and `cleared` are the keys of groups; `unfinished` says that more waits
    than was done."""

    reported: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    decisions: tuple[NotifyDecision, ...] = ()
    unfinished: bool = False


class AlertEngine:
    """Turns signals into alerts, and alerts into reports for the incident service.

    `add_signal` may be called on any thread; everything else belongs to one thread at a time, and may block. Alerts,
    holds in progress and what was reported are stored, so that they survive a restart.
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
        self.errors = ErrorIsolation()
        self.rulebook = Rulebook(self.errors)
        self._alerts = alerts
        self._silences = silences
        self._inbox = inbox
        self._configuration = configuration
        self._reporter = reporter
        self._redact = redact
        self._bus = bus
        self._silences_in_force: tuple[Silence, ...] = ()
        self._orphans: deque[TroubleReport] = deque()
        self.reset()

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """All alerts in memory: pending, firing, and lately resolved."""
        return tuple(self._active)

    def add_signal(self, signal: Signal) -> None:
        """Add a signal for the next evaluation. Never blocks; a name that no rule uses is ignored."""
        self.rulebook.add_signal(signal)

    def recall(self, signals: Iterable[Signal]) -> None:
        """Give rules that count the recent signals, oldest first, after `reset`."""
        self.rulebook.recall(signals)

    def reset(self) -> None:
        """Drop everything in memory; the next evaluation continues from what is stored.

        For a process that leads again after another one did: its memory is out of date.
        """
        self.rulebook.reset()
        self._notifier = GroupNotifier(self._alerts, self._reporter, self._redact, self.errors)
        self._buffer = AlertWriteBuffer(self._redact)
        self._active = ActiveAlerts()
        self._applied_ahead: frozenset[int] = frozenset()
        self._loaded = False

    def load(self, now: datetime) -> None:
        """Continue where the last process stopped. `evaluate` does it first, again and again until it succeeds."""
        rows = self._alerts.list_unfinished(now - self._lookback())
        kept: list[tuple[Alert, NotifyDecision | None]] = []
        for row in rows:
            with self.errors.isolate(f"kept alert {row.name}"):
                kept.append((from_row(row), decision_of(row)))
        # The groups before the alerts: an alert whose group is not known to be reported would be reported as new.
        self._notifier.load()
        self._active.restore(alert for alert, _ in kept)
        self._buffer.restore(kept)
        self._loaded = True

    def adopt(self, report: TroubleReport) -> None:
        """Go on with the alerts of a report that was journalled, if they are not known. Any thread may call it."""
        self._orphans.append(report)

    def evaluate(self, now: datetime) -> Evaluation:
        """Evaluate everything once.

        1. Signals go into the windows, and each rule is evaluated.
        2. Inbound alerts are applied, urgent ones first.
        3. The stages decide what is reported, and by itself or with a storm.
        4. Changes are stored. The same transaction empties the inbox, so that no alert is lost or applied twice.
        5. Groups are reported to the incident service, and that is stored too.

        A failure in one part is isolated, and the part is repeated at the next evaluation.
        """
        if not self._loaded:
            with self.errors.isolate("loading"):
                self.load(now)
        with self.errors.isolate("configuration"):
            self.rulebook.configure(self._configuration())
        # Before anything is applied, or an alert that began in this evaluation would not be seen as a change to
        # publish.
        before = self._active.firing()
        with self.errors.isolate("adoption"):
            self._adopt()
        self._evaluate_rules(now)
        # Each part may fail by itself: monitoring must go on with the other rules when the inbox cannot be read, and
        # the inbox must be emptied when a rule is broken.
        taken: list[int] = []
        more = False
        with self.errors.isolate("inbox"):
            taken, more = self._apply_inbox(now)
        context = self._context(now)
        audible, decisions = run_stages(context.alerts, context, MUTING)
        with self.errors.isolate("storms"):
            audible = self._grouped(audible, context)
        context = replace(context, alerts=tuple(self._active))
        kept, others = run_stages(audible, context, REPORTING)
        decisions += others
        # Stored before the incident service hears of it: an incident that refers to an alert which a crash has lost
        # could never be cleared.
        self._save(context.alerts, decisions, taken)
        with self.errors.isolate("events"):
            publish_changes(self._bus, before, context.alerts, {decision.alert: decision for decision in decisions})
        told = self._notifier.report(kept, context)
        self._notifier.join(decisions, context)
        gone = self._notifier.clear(kept, context)
        self._notifier.mark(decisions, context)
        self._notifier.save()
        self._prune(now)
        return Evaluation(told, gone, decisions, more or self._notifier.left > 0)

    @property
    def _settings(self) -> AlertingSettings:
        return self._configuration().alerting

    def _adopt(self) -> None:
        while self._loaded and self._orphans:
            report = self._orphans.popleft()
            orphans = [alert for alert in alerts_of(report) if not self._active.knows(alert)]
            self._active.restore(orphans)
            self._notifier.remember(report, orphans)

    def _evaluate_rules(self, now: datetime) -> None:
        own = [alert for alert in self._active.from_rules() if is_open(alert)]
        for observation, timing in self.rulebook.observe(now, own):
            with self.errors.isolate(f"alert {observation.name}"):
                self._active.apply(observation, timing, now)

    def _apply_inbox(self, now: datetime) -> tuple[list[int], bool]:
        """Apply what has come in; returns the numbers of the deliveries that were applied, and whether more wait."""
        waiting = self._inbox.list(_ALERTS_PER_EVALUATION)
        is_full = sum(len(delivery.notices) for delivery in waiting) >= _ALERTS_PER_EVALUATION
        if is_full and self._apply_urgent(now):
            return [], True
        taken = self._apply_in_order(waiting, now)
        self._applied_ahead -= frozenset(taken)
        more = is_full or len(taken) < len(waiting)
        # After the inbox, so that a repetition that waits there keeps its alert from expiring.
        if not more:
            self._active.expire(timing_of(self._settings), self._settings.intake.forget_seconds, now)
        return taken, more

    def _apply_urgent(self, now: datetime) -> bool:
        """Apply the urgent alerts that wait behind less urgent ones, before their turn; whether there were any.

        Their deliveries stay in the inbox and are applied whole in the order of receipt, which decides. Only what fires
        is urgent, so nothing is ended ahead of its beginning.
        """
        found = self._inbox.list_urgent(_URGENT.number, self._applied_ahead, _ALERTS_PER_EVALUATION)
        timing = timing_of(self._settings)
        for delivery in found:
            for alert in self._readable(delivery, now):
                if alert.firing and alert.severity.number <= _URGENT.number:
                    with self.errors.isolate(f"inbound {delivery.source}"):
                        self._active.apply_ahead(alert, delivery.source, timing, now, delivery.sequence)
        self._applied_ahead |= {delivery.sequence for delivery in found}
        return bool(found)

    def _apply_in_order(self, waiting: Sequence[InboxDelivery], now: datetime) -> list[int]:
        """Apply deliveries in the order of receipt; returns the numbers of those that were applied.

        It stops before a delivery that would end an alert which began in this same evaluation: an alert that begins and
        ends between two evaluations is reported all the same, and its end at the next one.
        """
        taken: list[int] = []
        known = self._active.firing()
        timing = timing_of(self._settings)
        for delivery in waiting:
            inbound = self._readable(delivery, now)
            if any(self._active.would_end(one, delivery.source, known) for one in inbound):
                break
            for alert in inbound:
                with self.errors.isolate(f"inbound {delivery.source}"):
                    self._active.apply_inbound(alert, delivery.source, timing, now, delivery.sequence)
            # By number, never "up to a number": with several writers a delivery with a lower number may be committed
            # later, and would be removed unread.
            taken.append(delivery.sequence)
        return taken

    def _grouped(self, audible: RemainingAlerts, context: StageContext) -> RemainingAlerts:
        """Decide for the alerts that are to be reported for the first time whether they join a storm."""
        news = grouped(audible, context.alerts, self._settings.storms, context.now)
        self._active.update(news.values())
        return tuple(news.get(alert.id, alert) for alert in audible)

    def _readable(self, delivery: InboxDelivery, now: datetime) -> list[InboundAlert]:
        result: list[InboundAlert] = []
        intake, texts = self._settings.intake, dict[str, str]()
        for data in delivery.notices:
            with self.errors.isolate(f"inbound {delivery.source}"):
                alert = InboundAlert.from_json(data, texts).classified(intake)
                # By when it has to be repeated counts from now: it may have waited, and its sender's clock is another.
                due = None if alert.expires is None else now + (alert.expires - delivery.received_at)
                result.append(alert if due is None else replace(alert, expires=due))
        return result

    def _context(self, now: datetime) -> StageContext:
        # When the database cannot be read, the silences read last stay in force. With none, a database outage would
        # page for everything that was muted on purpose.
        with self.errors.isolate("silences"):
            self._silences_in_force = parse_silences(self._silences.list(now))
        return StageContext(
            now,
            tuple(self._active),
            (*self._silences_in_force, *silences_of(self._settings.maintenance_windows, now)),
            self._inhibitions(),
            dict(self._notifier.notified),
            self._settings.repeat_seconds,
        )

    def _save(self, alerts: Sequence[Alert], decisions: Sequence[NotifyDecision], taken: Sequence[int]) -> None:
        due = self._buffer.due(alerts, {decision.alert: decision for decision in decisions})
        dropped = self._active.dropped
        if not (due or dropped or taken):
            return
        with self.errors.isolate("saving alerts"):
            self._alerts.save(self._buffer.rows(due), sorted(dropped), taken)
            self._buffer.mark_written(due)
            # Only after the commit: if saving fails, the dropped alerts must be removed at the next evaluation.
            self._active.dropped = set()

    def _prune(self, now: datetime) -> None:
        kept = frozenset[str]().union(*(told.alerts for told in self._notifier.notified.values()))
        self._active.prune(now - self._lookback(), kept)
        self._buffer.retain(self._active)

    def _inhibitions(self) -> tuple[Inhibition, ...]:
        return inhibitions(self._settings)

    def _lookback(self) -> timedelta:
        """For how long a resolved alert still matters, to flapping, to inhibition and to storms."""
        lingers = [one.linger for one in self._inhibitions()]
        return timedelta(seconds=max([self._settings.flapping.window, self._settings.storms.window, *lingers]))
