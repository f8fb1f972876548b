"""Metrics that events add to, by the conventions for generative AI where they have one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestration.events import Event
from orchestration.events.incidents import IncidentEvent
from orchestration.events.playbooks import ActionEvent
from orchestration.events.providers import ModelCallFailed, ModelCallFinished
from orchestration.telemetry.span import AttributeValue, Span


@dataclass(frozen=True, slots=True)
class MetricSample:
    """An addition to a metric: to a counter if it `counts`, otherwise to a histogram."""

    name: str
    value: float
    unit: str
    attributes: Mapping[str, AttributeValue]
    counts: bool = False


# The duration of a span is that of the metric of its operation.
_DURATIONS = {
    "chat": ("gen_ai.client.operation.duration", ("gen_ai.operation.name", "gen_ai.provider.name")),
    "invoke_agent": ("gen_ai.invoke_agent.duration", ("gen_ai.operation.name", "gen_ai.agent.name")),
    "execute_tool": ("gen_ai.execute_tool.duration", ("gen_ai.operation.name", "gen_ai.tool.name")),
    "invoke_workflow": ("gen_ai.workflow.duration", ("gen_ai.workflow.name",)),
}
_ALWAYS = ("error.type", "gen_ai.request.model", "gen_ai.response.model")


def measures_of_span(span: Span) -> Iterator[MetricSample]:
    """What a span adds: its duration, and the tokens of a model call."""
    operation = str(span.attributes.get("gen_ai.operation.name", ""))
    if operation not in _DURATIONS:
        return
    name, keys = _DURATIONS[operation]
    known = {key: span.attributes[key] for key in (*keys, *_ALWAYS) if key in span.attributes}
    yield MetricSample(name, (span.ended_at - span.started_at).total_seconds(), "s", known)
    for direction in ("input", "output"):
        tokens = span.attributes.get(f"gen_ai.usage.{direction}_tokens")
        if isinstance(tokens, int):
            attributes = {**known, "gen_ai.token.type": direction}
            attributes.pop("error.type", None)
            yield MetricSample("gen_ai.client.token.usage", tokens, "{token}", attributes)


def measures_of_event(event: Event) -> Iterator[MetricSample]:
    """What an event adds beside spans: changes of incidents, and actions."""
    match event.payload:
        case IncidentEvent(severity=severity) if not event.payload.drill:
            attributes = {"change": event.kind.partition(".")[2], "severity": severity or "unknown"}
            yield MetricSample("orchestration.incident.changes", 1, "{change}", attributes, counts=True)
        case ActionEvent(action=action, state=state) if not event.payload.drill:
            yield MetricSample("orchestration.actions", 1, "{action}", {"action": action, "state": state}, counts=True)
        case ModelCallFinished(outcome=outcome) | ModelCallFailed(outcome=outcome):
            yield MetricSample("orchestration.model_calls", 1, "{call}", {"outcome": outcome}, counts=True)
        case _:
            pass
