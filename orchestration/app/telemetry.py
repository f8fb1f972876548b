"""Sends what happens to a collector, by OpenTelemetry: from the events of this process, and the records behind them."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from orchestration.app.project import ProjectRecords
from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.events import Event
from orchestration.events.agents import AgentProgressed
from orchestration.events.incidents import IncidentResolved
from orchestration.events.runs import RunCancelled, RunFinished, RunResumed
from orchestration.logs import RepeatedFailure, get_logger
from orchestration.storage.playbooks import ActionRun, PlaybookRecords
from orchestration.storage.runs import Run
from orchestration.telemetry.incident_spans import TracedAction, TracedIncident, spans_of_incident
from orchestration.telemetry.measures import measures_of_event, measures_of_span
from orchestration.telemetry.propagation import TRACEPARENT
from orchestration.telemetry.run_spans import TracedRun, spans_of_run
from orchestration.telemetry.span import Span, SpanContext

if TYPE_CHECKING:
    from orchestration.telemetry.otlp import OtlpExporter

_SEND_SECONDS = 1.0
# What waits while the collector is away. The oldest is lost first: the timeline has it all the same.
_MOST_EVENTS = 5000
_MOST_TIMELINE = 100_000
_FAILED = frozenset({"failed"})
_VERIFY_PHASE = "verify"
_log = get_logger(__name__)


class Telemetry:
    """Collects events, and sends them in batches."""

    def __init__(self, project: ProjectRecords, exporter: OtlpExporter) -> None:
        self._project = project
        self._exporter = exporter
        self._waiting: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._contexts: dict[str, SpanContext] = {}
        self._failure = RepeatedFailure(_log.warning, "telemetry.not_sent")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send for as long as the block lasts; on leaving, what has come until then."""
        unsubscribe = self._project.bus.subscribe(self._receive)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._send_again_and_again)
                try:
                    yield
                finally:
                    group.cancel_scope.cancel()
        finally:
            # Outside of the group a batch that was being sent has come to its end: nothing is closed under it.
            unsubscribe()
            with anyio.CancelScope(shield=True):
                await self._send_what_waits()
                await anyio.to_thread.run_sync(self._exporter.close)

    def _receive(self, event: Event) -> None:
        if not isinstance(event.payload, AgentProgressed):
            self._waiting.append(event)

    async def _send_again_and_again(self) -> None:
        while True:
            await self._project.clock.sleep(_SEND_SECONDS)
            # What was taken is sent, even if this ends meanwhile.
            with anyio.CancelScope(shield=True):
                await self._send_what_waits()

    async def _send_what_waits(self) -> None:
        events = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if events:
            # The spans of a run are made of its timeline, so its last events have to be there: those that were taken
            # before, and none that has come since.
            await self._project.recorded()
            await anyio.to_thread.run_sync(self._send, events)

    def _send(self, events: Sequence[Event]) -> None:
        try:
            spans = [span for event in events for span in self._spans(event)]
            sent = self._exporter.send_logs([(event, self._context(event.run_id)) for event in events])
            if spans:
                sent = self._exporter.send_spans(spans) and sent
            for measure in (one for span in spans for one in measures_of_span(span)):
                self._exporter.record(measure)
            for measure in (one for event in events for one in measures_of_event(event)):
                self._exporter.record(measure)
        except Exception as error:  # noqa: BLE001 (whatever a collector or a record does, work goes on)
            self._failure.note(f"traces and logs could not be sent: {type(error).__name__}: {error}")
        else:
            self._failure.note("" if sent else "traces and logs could not be sent: the collector did not take them")

    def _spans(self, event: Event) -> list[Span]:
        match event.payload:
            case RunFinished() | RunCancelled() if event.run_id:
                return self._spans_of_run(self._project.runs.get(event.run_id), event)
            case IncidentResolved(incident=incident):
                return self._spans_of_incident(incident)
            case _:
                return []

    def _spans_of_run(self, run: Run, end: Event) -> list[Span]:
        events = [one for _, one in self._project.timeline.list(run.id, limit=_MOST_TIMELINE)]
        if not any(one.kind == end.kind and one.at == end.at for one in events):
            # The database is slow, or away; what was seen here is the end all the same.
            events.append(end)
        resumed = [place for place, one in enumerate(events) if isinstance(one.payload, RunResumed)]
        return spans_of_run(self._traced(run), events[resumed[-1] :] if resumed else events)

    def _traced(self, run: Run) -> TracedRun:
        configuration = self._project.configuration
        providers = {name: str(one.type) for name, one in configuration.runtime.providers.items()}
        caller = str(run.options.get(TRACEPARENT) or "")
        name = run.agent or configuration.metadata.name
        return TracedRun(run.id, name, run.created_at, run.attempt, providers, caller)

    def _context(self, run_id: str | None) -> SpanContext | None:
        """The span of a run, for the logs that belong to it."""
        if run_id is None:
            return None
        if run_id not in self._contexts:
            try:
                self._contexts[run_id] = self._traced(self._project.runs.get(run_id)).context
            except NotFoundError:
                return None
        return self._contexts[run_id]

    def _spans_of_incident(self, incident_id: str) -> list[Span]:
        incident = self._project.incident_service.records.get(incident_id)
        actions = PlaybookRecords(self._project.database).list_actions(incident_id=incident_id)
        runs = [context for one in incident.blast_radius.runs if (context := self._context(one)) is not None]
        traced = TracedIncident(
            incident.id,
            incident.title,
            incident.scenario.value,
            incident.severity.value,
            incident.detected_at,
            incident.resolved_at or incident.changed_at,
            runs,
            [_action(one) for one in actions if one.started_at >= incident.detected_at],
        )
        return spans_of_incident(traced)


def _action(one: ActionRun) -> TracedAction:
    state = one.state.value
    ended = one.finished_at or one.started_at
    verifies = one.phase == _VERIFY_PHASE
    return TracedAction(
        one.key, one.action, one.phase, state, one.started_at, ended, verifies, state in _FAILED, str(one.summary)
    )


@contextlib.contextmanager
def telemetry_of(project: ProjectRecords, instance: str) -> Iterator[Telemetry | None]:
    """What sends to the collector of the configuration, if it names one. Where OpenTelemetry is not installed, the log
    says so, and work goes on without."""
    settings = project.configuration.monitoring.open_telemetry
    if settings is None:
        yield None
        return
    from orchestration.telemetry.otlp import OtlpExporter

    value = project.store.credentials.get(settings.headers_env) if settings.headers_env else None
    headers = dict(part.split("=", 1) for part in (value or "").split(",") if "=" in part)
    try:
        exporter = OtlpExporter(settings.endpoint, headers, instance, project.redactor.text)
    except OrchestratorError as error:
        _log.error("telemetry.missing", message=str(error))
        yield None
        return
    yield Telemetry(project, exporter)
