"""Sends spans, logs and metrics to a collector over OTLP/HTTP, by OpenTelemetry's own SDK (the extra `otel`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from orchestration.errors import UsageError
from orchestration.events import Event
from orchestration.events.render import render
from orchestration.telemetry.measures import MetricSample
from orchestration.telemetry.span import Span, SpanContext

# Long enough that a slow collector is no fault, and short enough for the end of a process.
_SECONDS = 5.0
_METRICS_MILLISECONDS = 10_000
_SCOPE = "orchestration"


class OtlpExporter:
    """The exporters of one process. All methods block; call them in a thread."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], instance: str, redact: Callable[[str], str]) -> None:
        """Raises UsageError where the extra is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
        except ImportError as error:
            raise UsageError(
                "OpenTelemetry is not installed. Install it with `pip install agent-orchestration[otel]`, "
                "or remove `monitoring.openTelemetry`."
            ) from error
        address = endpoint.rstrip("/")
        options: dict[str, Any] = {"headers": dict(headers), "timeout": _SECONDS}
        self._redact = redact
        self._resource = Resource.create({"service.name": _SCOPE, "service.instance.id": instance})
        self._spans: Any = OTLPSpanExporter(endpoint=f"{address}/v1/traces", **options)
        self._logs: Any = OTLPLogExporter(endpoint=f"{address}/v1/logs", **options)
        metrics = OTLPMetricExporter(endpoint=f"{address}/v1/metrics", **options)
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=_METRICS_MILLISECONDS)
        self._meters = MeterProvider([reader], self._resource, shutdown_on_exit=False)
        self._instruments: dict[str, Any] = {}

    def send_spans(self, spans: Iterable[Span]) -> bool:
        """Send spans; False if the collector has not taken them."""
        return bool(self._spans.export([self._span(span) for span in spans]).name == "SUCCESS")

    def send_logs(self, events: Iterable[tuple[Event, SpanContext | None]]) -> bool:
        """Send events as log records, each with the trace that it belongs to."""
        return bool(self._logs.export([self._record(event, context) for event, context in events]).name == "SUCCESS")

    def record(self, measure: MetricSample) -> None:
        """Add to a metric; it is sent with the next batch."""
        instrument: Any = self._instruments.get(measure.name)
        if instrument is None:
            meter = self._meters.get_meter(_SCOPE)
            make: Any = meter.create_counter if measure.counts else meter.create_histogram
            instrument = self._instruments[measure.name] = make(measure.name, unit=measure.unit)
        (instrument.add if measure.counts else instrument.record)(measure.value, dict(measure.attributes))

    def close(self) -> None:
        """Send what is left."""
        self._meters.shutdown(timeout_millis=_SECONDS * 1000)
        self._spans.shutdown()
        self._logs.shutdown()

    def _span(self, span: Span) -> Any:
        from opentelemetry.sdk.trace import Event as SdkEvent
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import Link, SpanKind, Status, StatusCode

        status = Status(StatusCode.ERROR, self._redact(span.error)) if span.error else Status()
        return ReadableSpan(
            span.name,
            context=_sdk_context(span.context),
            parent=None if span.parent is None else _sdk_context(span.parent),
            resource=self._resource,
            attributes=self._clean(span.attributes),
            events=[SdkEvent(one.name, self._clean(one.attributes), _nanoseconds(one.at)) for one in span.events],
            links=[Link(_sdk_context(one)) for one in span.links],
            kind=SpanKind[span.kind.value],
            instrumentation_scope=InstrumentationScope(_SCOPE),
            status=status,
            start_time=_nanoseconds(span.started_at),
            end_time=_nanoseconds(span.ended_at),
        )

    def _record(self, event: Event, context: SpanContext | None) -> Any:
        from opentelemetry._logs import LogRecord, SeverityNumber
        from opentelemetry.sdk._logs import ReadableLogRecord
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import NonRecordingSpan, set_span_in_context

        level = event.payload.level
        attributes = {"run": event.run_id, "agent": event.agent, "actor": event.actor}
        record = LogRecord(
            timestamp=_nanoseconds(event.at),
            context=None if context is None else set_span_in_context(NonRecordingSpan(_sdk_context(context))),
            severity_text=logging.getLevelName(level),
            # DEBUG, INFO, WARN and ERROR begin at 5, 9, 13 and 17 (https://opentelemetry.io/docs/specs/otel/logs/data-model/).
            severity_number=SeverityNumber(max(1, level // 10 * 4 + 1)),
            body=self._redact(render(event)),
            event_name=event.kind,
            attributes={name: value for name, value in attributes.items() if value},
        )
        return ReadableLogRecord(record, self._resource, InstrumentationScope(_SCOPE))

    def _clean(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._redact(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _sdk_context(context: SpanContext) -> Any:
    from opentelemetry import trace

    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    return trace.SpanContext(context.trace_id, context.span_id, is_remote=False, trace_flags=flags)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
