"""Puts the monitoring of one process together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.monitoring import CollectorSettings, MonitoringSettings
from orchestration.config.schema import Configuration
from orchestration.events import Event, EventBus
from orchestration.metrics import Metrics
from orchestration.monitoring.collectors.backups import BackupWatch
from orchestration.monitoring.collectors.calls import CallWatch
from orchestration.monitoring.collectors.databases import DatabaseWatch
from orchestration.monitoring.collectors.descriptor import CollectorContext, InstalledCollector
from orchestration.monitoring.collectors.log_errors import LogErrors
from orchestration.monitoring.collectors.log_reader import NAME
from orchestration.monitoring.collectors.loop_lag import LoopLag
from orchestration.monitoring.collectors.plugins import own_collectors
from orchestration.monitoring.collectors.providers import ProviderWatch
from orchestration.monitoring.collectors.resources import ResourceCollector
from orchestration.monitoring.collectors.runs import RunWatch
from orchestration.monitoring.collectors.scan_record import ScanRecord
from orchestration.monitoring.collectors.secrets import SecretWatch
from orchestration.monitoring.collectors.service_status import ServiceStatusWatch
from orchestration.monitoring.collectors.vulnerabilities import VulnerabilityWatch
from orchestration.monitoring.collectors.workers import WorkerWatch
from orchestration.monitoring.health.dead_man_switch import DeadManSwitch
from orchestration.monitoring.health.sample_writer import SampleWriter
from orchestration.monitoring.health.service_status import ServiceStatusReader
from orchestration.monitoring.monitor import Monitor, Sink, in_thread
from orchestration.monitoring.signals.catalogue import GAUGES
from orchestration.monitoring.signals.event_counters import EventCounters
from orchestration.monitoring.signals.event_signals import KINDS, signals_of
from orchestration.monitoring.signals.event_tail import EventTail
from orchestration.security.redaction import Redactor
from orchestration.storage.artifacts import ArtifactTable
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.route_states import RouteStates
from orchestration.storage.runs import Run, Runs
from orchestration.storage.samples import Samples
from orchestration.storage.timeline import Timeline

_DATABASE_SECONDS = 2.0
_MOST_RECALLED = 5000


@dataclass(frozen=True, slots=True)
class MonitoringContext:
    """The dependencies of the monitoring. `engine_file` is the engine's own SQLite file, if it has one; `original`
    returns what a file held when a run began."""

    configuration: Callable[[], Configuration]
    credentials: CredentialSource
    database: Database
    bus: EventBus
    clock: Clock
    redactor: Redactor
    root: Path
    engine_file: Path | None = None
    original: Callable[[Run, Path], str] = lambda _run, _path: ""


class Monitoring:
    """The monitor and its collectors; those that other packages query are public attributes. `gauges` are the signals
    whose last value counts until the next."""

    def __init__(self, context: MonitoringContext, sink: Sink, metrics: Metrics | None = None) -> None:
        configuration, clock, database = context.configuration, context.clock, context.database
        runtime, timeline, runs = configuration().runtime, Timeline(database), Runs(database)
        logs, artifacts = context.root / runtime.log_directory, context.root / runtime.artifacts_directory
        folders = [context.root, logs, artifacts, context.root / runtime.state_directory]
        self._context = context
        self._sink = sink
        self.metrics = metrics or Metrics()
        self.samples = Samples(database)
        self.providers = ProviderWatch(configuration, context.credentials, clock, RouteStates(database))
        self.resources = ResourceCollector(
            clock,
            folders,
            context.redactor.text,
            leak_seconds=lambda: configuration().monitoring.thresholds.leak_seconds,
        )
        self.workers = WorkerWatch(Leases(database), clock)
        self.vulnerabilities = VulnerabilityWatch(self._advisories, clock)
        self._counting = EventCounters(self.metrics, self._channel_type)
        self._calls = CallWatch(clock)
        self.gauges = GAUGES | {one.name for own in own_collectors().usable for one in own.signals if one.gauge}
        self._sample_writer = SampleWriter(
            self.samples, clock, lambda: configuration().monitoring.retention_days, self.gauges
        )
        self._event_tail = EventTail(timeline, clock)
        self._lag = LoopLag(clock)
        self._runs = RunWatch(runs, timeline, clock, configuration)
        self._databases = DatabaseWatch(database, clock, [context.engine_file] if context.engine_file else [])
        self._log_errors = LogErrors(logs / NAME, clock)
        self._backups = BackupWatch(timeline, clock)
        record = ScanRecord(context.root / runtime.state_directory / "secret-scan.json")
        self._secrets = SecretWatch(
            artifacts,
            ArtifactTable(database),
            runs,
            context.redactor.find,
            clock,
            record,
            own=(context.root / runtime.state_directory, logs),
            original=context.original,
        )
        self.monitor = Monitor(
            context.bus,
            clock,
            self._receive,
            [self.providers, self.workers, self._secrets],
            self._counting.count_failed_round,
        )
        self._dead_man = DeadManSwitch(
            self._dead_man_url,
            self.monitor.healthy,
            lambda: configuration().response.dead_man_private_network,
        )
        reader = ServiceStatusReader(configuration, context.credentials, clock)
        self.service_status = ServiceStatusWatch(reader, clock)
        self._add_loops()
        self._add_own_collectors()

    @asynccontextmanager
    async def watching_database(self) -> AsyncIterator[None]:
        """Check the database alone, for as long as the block lasts: what is read before the monitoring runs would wait
        half a minute for a lock, and nobody would be told of it."""

        async def watch() -> None:
            while True:
                await self._databases.collect()
                await self._context.clock.sleep(_DATABASE_SECONDS)

        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            yield
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Monitoring]:
        """Monitor for as long as the block lasts."""
        subscribe = self._context.bus.subscribe
        # Before the monitor runs: an event of this process that the tail has not heard of would pass for
        # another process's.
        subscriptions = [subscribe(self._counting.on_event), subscribe(self._event_tail.on_own_event)]
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._lag.measure)
                await group.start(self.monitor.run)
                try:
                    yield self
                finally:
                    group.cancel_scope.cancel()
        finally:
            for unsubscribe in subscriptions:
                unsubscribe()
            self._context.database.suspend("")  # nothing checks it any more, so nothing would lift a suspension
            # Closing connections has to wait for them, which a cancelled task may do in a shielded scope only.
            with anyio.CancelScope(shield=True):
                await self.providers.aclose()

    def recall(self, seconds: float) -> list[Signal]:
        """The signals of the last seconds, from stored events and the log, oldest first. Blocks."""
        since = self._context.clock.now() - timedelta(seconds=seconds)
        events = Timeline(self._context.database).list_recent(KINDS, since, _MOST_RECALLED)
        signals = [signal for event in events for signal in signals_of(event)]
        return sorted([*signals, *self._log_errors.recall(since)], key=lambda signal: signal.at)

    def _add_loops(self) -> None:
        """Every collector, with its interval in seconds.

        Half a second to two seconds where a person waits for the answer (a run that hangs, a worker that died, a
        database that is gone); minutes where a check reads much or changes rarely.
        """
        every = self.monitor.every
        every(0.5, "events", self._read_other_processes)
        every(1, "routes", self._collect_routes)
        # Every provider has an interval of its own; this loop only finds those that are due.
        every(1, "probes", self.providers.probe)
        every(lambda: self._settings().resource_seconds, "resources", in_thread(self.resources.collect))
        every(lambda: self._settings().resource_seconds, "lag", self._lag.collect)
        every(2, "runs", in_thread(self._runs.collect))
        every(2, "workers", in_thread(self.workers.collect))
        every(_DATABASE_SECONDS, "database", self._databases.collect)
        every(lambda: self._settings().integrity_seconds, "integrity", in_thread(self._databases.check))
        every(10, "calls", self._calls.collect)
        every(1, "log", in_thread(self._log_errors.collect))
        every(lambda: self._settings().scan_seconds, "secrets", in_thread(self._scan_secrets))
        # So often because it only reads a flag unless a step has written something.
        every(0.25, "written", self._scan_written)
        every(lambda: self._settings().audit_seconds, "audit", in_thread(self._audit))
        every(lambda: self._settings().status_page_seconds, "service-status", self._read_status_pages)
        every(60, "backups", in_thread(self._backups.collect))
        every(10, "samples", in_thread(self._sample_writer.write))
        every(5, "loops", self.monitor.collect_loop_ages)
        every(lambda: self._settings().dead_man_seconds, "dead-man", self._ping)

    def _add_own_collectors(self) -> None:
        for descriptor in own_collectors().usable:
            settings = self._settings().collectors.get(descriptor.name, CollectorSettings())
            if settings.enabled:
                context = CollectorContext(
                    settings.options, self._context.credentials.get, self._context.clock, self._context.root
                )
                collector = InstalledCollector(descriptor, context)
                self.monitor.every(
                    settings.seconds or descriptor.seconds, descriptor.name, in_thread(collector.collect)
                )

    def _settings(self) -> MonitoringSettings:
        return self._context.configuration().monitoring

    def _receive(self, signals: Sequence[Signal]) -> None:
        """Learn from the signals, then pass them to the sink with their evidence redacted."""
        self._calls.record(signals)
        self._sample_writer.record(signals)
        self._counting.measure(signals)
        # Evidence ends up in messages to people, and may quote the output of tools and providers.
        redact = self._context.redactor.data
        self._sink([replace(one, evidence=redact(dict(one.evidence))) if one.evidence else one for one in signals])

    async def _read_other_processes(self) -> Iterable[Signal]:
        for event in await anyio.to_thread.run_sync(self._event_tail.read, abandon_on_cancel=True):
            self._on_foreign_event(event)
        return ()

    def _on_foreign_event(self, event: Event) -> None:
        self._counting.on_event(event)
        self.monitor.on_event(event)

    async def _collect_routes(self) -> Iterable[Signal]:
        signals = await self.providers.collect_routes()
        self._counting.routes(self.providers.route_states())
        return signals

    async def _read_status_pages(self) -> Iterable[Signal]:
        return await self.service_status.collect() if self._settings().read_status_pages else ()

    async def _ping(self) -> Iterable[Signal]:
        await self._dead_man.ping()
        return ()

    def _scan_secrets(self) -> Iterable[Signal]:
        return self._secrets.collect() if self._settings().scan_secrets else ()

    async def _scan_written(self) -> Iterable[Signal]:
        """Scan what a committed step wrote at once; everything else is scanned on an interval."""
        if not (self._secrets.is_due and self._settings().scan_secrets):
            return ()
        return await in_thread(self._secrets.scan_due)()

    def _audit(self) -> Iterable[Signal]:
        return self.vulnerabilities.collect() if self._settings().audit_dependencies else ()

    def _channel_type(self, name: str) -> str:
        settings = self._context.configuration().response.channels.get(name)
        return settings.type if settings else name

    def _advisories(self) -> Path:
        return self._context.root / self._settings().advisories_directory

    def _dead_man_url(self) -> str | None:
        name = self._context.configuration().response.dead_man_url_env
        return self._context.credentials.get(name) if name else None
