"""Incident response in a control process: signals become alerts, alerts become incidents, and people are notified.

Of several control processes only the leading one does this. Without the database the leader goes on leading: an outage
of the database is itself an incident, and somebody has to notice it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration import metrics
from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.engine import AlertEngine
from orchestration.alerts.heartbeats.reception import HeartbeatReception
from orchestration.alerts.heartbeats.state import HeartbeatStatus
from orchestration.alerts.heartbeats.watch import HeartbeatWatch
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.intake import AlertIntake
from orchestration.alerts.signal import Signal
from orchestration.app.alert_evaluation import AlertEvaluation
from orchestration.app.application import Application
from orchestration.app.handover import HandOverNotifier
from orchestration.app.leadership import Leadership
from orchestration.app.live_credentials import LiveCredentials
from orchestration.app.oncall_calendars import OnCallCalendarReader
from orchestration.app.push_devices import PushDevices
from orchestration.app.recorded_time import ClockWatch, follow_recorded_time
from orchestration.clock import Clock
from orchestration.config.alerting import HeartbeatSettings
from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.events import Event
from orchestration.events.incidents import IncidentEvent
from orchestration.http_connections import PooledConnections
from orchestration.incidents import background, oncall
from orchestration.incidents.journal import JOURNAL_FOLDER, ReportJournal
from orchestration.incidents.report import TroubleReport
from orchestration.monitoring.assembly import Monitoring, MonitoringContext
from orchestration.monitoring.monitor import in_thread
from orchestration.monitoring.signals.repeated_gauges import RepeatedGauges
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.last_resort import LastResort
from orchestration.notifications.sender import OutboxSender
from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.heartbeat_monitors import HeartbeatMonitors
from orchestration.storage.outbox import Outbox

# A heartbeat is late at most so much later than its grace allows.
_HEARTBEAT_SECONDS = 1.0
_CONNECTIONS_SECONDS = 5.0
# No window of the built-in rules is longer.
_RECALLED_SECONDS = 3600.0


class IncidentResponse:
    """Everything between a signal and a notification. With `drill`, every signal is marked as part of a drill, so that
    its incidents count in no figure and say in every text what they are."""

    def __init__(self, app: Application, leadership: Leadership, *, drill: bool = False) -> None:
        self._app = app
        self._leadership = leadership
        self._drill = drill
        self._credentials = LiveCredentials(app.store)
        inbox = AlertInbox(app.database)
        self._last_resort = LastResort(
            self._first_audience, self._response, self._credentials, app.clock, app.redactor.data
        )
        self.journal = ReportJournal(
            app.state_folder / JOURNAL_FOLDER,
            app.incident_service,
            app.bus,
            app.clock,
            self._last_resort,
            self._last_resort.reached,
            self._adopt,
        )
        redact = batch_redactor(app.redactor)
        self.alerts = AlertEngine(
            app.alerts, app.silences, inbox, self.journal, lambda: app.configuration, redact, app.bus
        )
        self.heartbeats = HeartbeatReception(
            HeartbeatMonitors(app.database), self._expected_heartbeats, app.redactor.text
        )
        self.intake = AlertIntake(
            inbox,
            lambda: app.configuration.alerting.intake,
            self._credentials.get,
            redact,
            app.incident_service.records.existing,
            _FedByAlerts(self.heartbeats, app.clock),
        )
        self.monitoring = Monitoring(
            self._monitoring_context(),
            self._receive,
        )
        watch = HeartbeatWatch(
            HeartbeatMonitors(app.database), inbox, self._expected_heartbeats, redact, self._show_heartbeats
        )
        self.monitoring.monitor.every(_HEARTBEAT_SECONDS, "heartbeats", in_thread(partial(_check, watch, app.clock)))
        self.monitoring.monitor.every(_CONNECTIONS_SECONDS, "connections", self._count_connections)
        self.outbox = Outbox(app.database, app.redactor.data)
        self._channels = ChannelRegistry(self._response, self._credentials, app.clock, PushDevices(app).access)
        self.sender = OutboxSender(
            self.outbox,
            app.leases,
            self._channels,
            app.bus,
            app.clock,
            app.redactor.data,
            app.engine.executor_id,
            links_of=app.message_links.of_message,
        )
        self.calendars = OnCallCalendarReader(
            app.on_call.calendars, self._response, self._credentials, app.clock, app.redactor.text, app.root
        )
        self._repeated = RepeatedGauges(self.monitoring.gauges)
        self._clock_watch = ClockWatch(app.clock, app.bus)
        self._evaluation = AlertEvaluation(self.alerts, self._look_around, app.clock)

    def _expected_heartbeats(self) -> Mapping[str, HeartbeatSettings]:
        return self._app.configuration.alerting.expected_heartbeats

    def _show_heartbeats(self, counts: Mapping[HeartbeatStatus, int]) -> None:
        for status in HeartbeatStatus:
            self.monitoring.metrics.set(metrics.HEARTBEATS, counts.get(status, 0), heartbeat_status=status.value)

    async def _count_connections(self) -> Iterable[Signal]:
        found: dict[str, PooledConnections] = {}
        for provider, counts in self._app.gateway.connections().items():
            # Mapped to the label's values first: two providers that become `other` are shown together.
            label = metrics.label_value("provider", provider)
            found[label] = counts.plus(found.get(label, PooledConnections()))
        for provider, counts in found.items():
            for use, count in counts._asdict().items():
                self.monitoring.metrics.set(metrics.CONNECTIONS, count, provider=provider, use=use)
        return ()

    async def run(self) -> None:
        """Respond whenever this process leads, until cancelled."""
        await self._leadership.while_held(self._responding)

    def _adopt(self, report: TroubleReport) -> None:
        self.alerts.adopt(report)

    def _monitoring_context(self) -> MonitoringContext:
        app = self._app
        return MonitoringContext(
            configuration=app.effective,
            credentials=self._credentials,
            database=app.database,
            bus=app.bus,
            clock=app.clock,
            redactor=app.redactor,
            root=app.root,
            engine_file=_file_of(app.engine_url),
            original=app.workspaces.originals.text,
        )

    @contextlib.asynccontextmanager
    async def _responding(self) -> AsyncIterator[None]:
        app = self._app
        # Another process may have led meanwhile; what it has done is only in the database.
        self.alerts.reset()
        async with self.monitoring.watching_database():
            await anyio.to_thread.run_sync(follow_recorded_time, app.clock, app.database)
            await anyio.to_thread.run_sync(self._recall)
        unsubscribe = app.bus.subscribe(self._on_event)
        try:
            async with self._channels, self.monitoring.running(), anyio.create_task_group() as group:
                group.start_soon(self._evaluation.run)
                group.start_soon(background.run, app.incident_service, self.journal, app.bus, app.clock)
                group.start_soon(background.refresh_sums, app.statistics, app.bus, app.clock)
                group.start_soon(self.sender.run)
                group.start_soon(self.calendars.run)
                group.start_soon(HandOverNotifier(app, self.outbox).run)
                yield
                group.cancel_scope.cancel()
        finally:
            unsubscribe()
            await anyio.to_thread.run_sync(self._last_resort.close)
            # The next process must not page them again.
            await anyio.to_thread.run_sync(self.journal.keep_reached)

    def _response(self) -> ResponseSettings:
        return self._app.configuration.response

    def _first_audience(self) -> tuple[Contact, ...]:
        """The recipients of P0 incidents, whom the last resort notifies directly."""
        response = self._response()
        return oncall.contacts(response.audience_of(Severity.P0), response, self._app.clock.now())

    def _receive(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            self.alerts.add_signal(self._marked(signal))
        # Most collectors report every second or two that nothing has changed.
        if self._repeated.has_news(signals):
            self._evaluation.wake()

    def _recall(self) -> None:
        """Continue the windows of the rules from what was recorded before a restart, or while another process led."""
        with contextlib.suppress(SQLAlchemyError):
            self.alerts.recall(self._marked(signal) for signal in self.monitoring.recall(_RECALLED_SECONDS))

    def _marked(self, signal: Signal) -> Signal:
        return replace(signal, drill=True) if self._drill else signal

    def _on_event(self, event: Event) -> None:
        """A change of an incident may have put something into the outbox."""
        if isinstance(event.payload, IncidentEvent):
            self.sender.nudge()

    def _look_around(self) -> None:
        """Before each evaluation."""
        # So that whoever is notified without the database, too, is who has taken over since.
        self._app.roster.refresh()
        self._clock_watch.check()


class _FedByAlerts:
    """Heartbeats that come as alerts, by our own time."""

    def __init__(self, reception: HeartbeatReception, clock: Clock) -> None:
        self._reception = reception
        self._clock = clock

    @property
    def expected(self) -> bool:
        return self._reception.is_fed_by_alerts

    def feed(self, alert: InboundAlert) -> bool:
        return self._reception.feed(alert, self._clock.now())


def _check(watch: HeartbeatWatch, clock: Clock) -> Iterable[Signal]:
    watch.check(clock.now())
    return ()


def _file_of(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
