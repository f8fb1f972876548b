"""The spans of an incident: itself, the actions of its playbooks, their verifications. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.telemetry.span import AttributeValue, Span, SpanContext, SpanKind


@dataclass(frozen=True, slots=True)
class TracedAction:
    """An action of a playbook; `verifies` if it only checks whether another one has helped."""

    key: str
    name: str
    phase: str
    state: str
    started_at: datetime
    ended_at: datetime
    verifies: bool
    failed: bool
    summary: str


@dataclass(frozen=True, slots=True)
class TracedIncident:
    """An incident that was resolved. `runs` are the spans of the runs that it is about: the traces that failed."""

    id: str
    title: str
    scenario: str
    severity: str
    detected_at: datetime
    resolved_at: datetime
    runs: Sequence[SpanContext]
    actions: Sequence[TracedAction]


def spans_of_incident(incident: TracedIncident) -> list[Span]:
    """All spans of an incident, in a trace of its own that is linked to those that failed."""
    # Resolved again after it was reopened, it is another trace.
    context = SpanContext.derived(incident.id, incident.resolved_at.isoformat())
    attributes: dict[str, AttributeValue] = {
        "orchestration.incident.id": incident.id,
        "orchestration.incident.title": incident.title,
        "orchestration.incident.scenario": incident.scenario,
        "orchestration.incident.severity": incident.severity,
    }
    own = Span(
        f"incident {incident.scenario}",
        SpanKind.INTERNAL,
        context,
        None,
        incident.detected_at,
        incident.resolved_at,
        attributes,
        links=tuple(incident.runs),
    )
    return [own, *_actions(incident, context)]


def _actions(incident: TracedIncident, context: SpanContext) -> Iterator[Span]:
    for action in incident.actions:
        attributes: dict[str, AttributeValue] = {
            "orchestration.incident.id": incident.id,
            "orchestration.action.name": action.name,
            "orchestration.action.phase": action.phase,
            "orchestration.action.state": action.state,
            **({"error.type": action.state} if action.failed else {}),
        }
        yield Span(
            f"{'verify' if action.verifies else 'action'} {action.name}",
            SpanKind.INTERNAL,
            context.child(action.key),
            context,
            action.started_at,
            max(action.started_at, action.ended_at),
            attributes,
            action.summary if action.failed else "",
            links=tuple(incident.runs),
        )
