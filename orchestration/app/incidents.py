"""The road of trouble in a control process: what is seen becomes alerts, alerts become incidents, people are told.

Of several control processes one leads and walks it; the others stand by. Without the database the one that leads goes
on leading: somebody has to notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.alerts.batch_redaction import batch_redactor
from orchestration.alerts.engine import AlertEngine
from orchestration.alerts.intake import AlertIntake
from orchestration.alerts.signal import Signal
from orchestration.app.application import Application
from orchestration.app.live_credentials import LiveCredentials
from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.events import Event
from orchestration.events.incidents import IncidentEvent
from orchestration.incidents import background, oncall
from orchestration.incidents.journal import ReportJournal
from orchestration.monitoring.assembly import Monitoring, MonitoringContext
from orchestration.notifications.channels import ChannelRegistry
from orchestration.notifications.last_resort import LastResort
from orchestration.notifications.sender import OutboxSender
from orchestration.storage.alert_inbox import AlertInbox
from orchestration.storage.outbox import Outbox

# An alert is judged as soon as there is something to judge, but not more often than this; and when nothing comes, for
# the sake of those whose time has come.
_AT_MOST_EVERY_SECONDS = 0.2
_AT_LEAST_EVERY_SECONDS = 1.0
_LOOK_SECONDS = 0.2
# No window of ours that counts is longer.
_RECALLED_SECONDS = 3600.0


class IncidentResponse:
    """Everything between a signal and somebody being told. Run it with `run`. With `drill` all that is seen is marked
    as rehearsed, so that it never counts in the figures and says what it is in every text."""

    def __init__(self, app: Application, leads: Callable[[], bool], *, drill: bool = False) -> None:
        self._app = app
        self._leads = leads
        self._drill = drill
        self._credentials = LiveCredentials(app.store)
        inbox = AlertInbox(app.database)
        self._last_resort = LastResort(
            self._first_audience, self._response, self._credentials, app.clock, app.redactor.data
        )
        self.journal = ReportJournal(
            app.state_folder / "journal",
            app.incident_service,
            app.bus,
            app.clock,
            self._last_resort,
            self._last_resort.reached,
        )
        redact = batch_redactor(app.redactor)
        self.alerts = AlertEngine(
            app.alerts, app.silences, inbox, self.journal, lambda: app.configuration, redact, app.bus
        )
        self.intake = AlertIntake(inbox, lambda: app.configuration.alerting.intake, self._credentials.get, redact)
        self.monitoring = Monitoring(
            MonitoringContext(
                configuration=app.effective,
                credentials=self._credentials,
                database=app.database,
                bus=app.bus,
                clock=app.clock,
                redactor=app.redactor,
                root=app.root,
                engine_file=_file_of(app.engine_url),
            ),
            self._take,
        )
        self.outbox = Outbox(app.database, app.redactor.data)
        self._channels = ChannelRegistry(self._response, self._credentials, app.clock)
        self.sender = OutboxSender(
            self.outbox,
            app.leases,
            self._channels,
            app.bus,
            app.clock,
            app.redactor.data,
            app.engine.executor_id,
        )
        self._seen = anyio.Event()

    async def run(self) -> None:
        """Walk the road whenever this process leads, until cancelled."""
        while True:
            while not self._leads():
                await self._app.clock.sleep(_LOOK_SECONDS)
            async with self._walking():
                while self._leads():
                    await self._app.clock.sleep(_LOOK_SECONDS)

    @contextlib.asynccontextmanager
    async def _walking(self) -> AsyncIterator[None]:
        app = self._app
        # What another process has done while it led is in the database only.
        self.alerts.reset()
        await anyio.to_thread.run_sync(self._recall)
        unsubscribe = app.bus.subscribe(self._on_event)
        try:
            async with self._channels, self.monitoring.running(), anyio.create_task_group() as group:
                group.start_soon(self._judge)
                group.start_soon(background.keep, app.incident_service, self.journal, app.bus, app.clock)
                group.start_soon(background.keep_sums, app.statistics, app.bus, app.clock)
                group.start_soon(self.sender.run)
                yield
                group.cancel_scope.cancel()
        finally:
            unsubscribe()
            await anyio.to_thread.run_sync(self._last_resort.close)

    def _response(self) -> ResponseSettings:
        return self._app.configuration.response

    def _first_audience(self) -> tuple[Contact, ...]:
        """Those who are told of the worst."""
        response = self._response()
        return oncall.contacts(response.audience_of(Severity.P0), response, self._app.clock.now())

    def _take(self, signals: Sequence[Signal]) -> None:
        for signal in signals:
            self.alerts.add_signal(self._marked(signal))
        self._seen.set()

    def _recall(self) -> None:
        """Count on from what was seen before the restart, or before another process led."""
        with contextlib.suppress(SQLAlchemyError):
            self.alerts.recall(self._marked(signal) for signal in self.monitoring.recall(_RECALLED_SECONDS))

    def _marked(self, signal: Signal) -> Signal:
        return replace(signal, drill=True) if self._drill else signal

    def _on_event(self, event: Event) -> None:
        """Where an incident has changed, there is something to send."""
        if isinstance(event.payload, IncidentEvent):
            self.sender.nudge()

    async def _judge(self) -> None:
        while True:
            with anyio.move_on_after(_AT_LEAST_EVERY_SECONDS):
                await self._seen.wait()
            self._seen = anyio.Event()
            await anyio.to_thread.run_sync(self.alerts.evaluate, self._app.clock.now())
            await self._app.clock.sleep(_AT_MOST_EVERY_SECONDS)


def _file_of(url: str) -> Path | None:
    """The file behind an SQLite address."""
    parsed = sa.make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
