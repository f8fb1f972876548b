"""Metrics for Prometheus. Every label has a closed set of values, written here; what is in none of them is `other`.

Names begin with `orchestration_` and end in their unit; counters end in `_total`. Nothing is labelled with an
identifier: which run, which message, which file is what the timeline and the log are for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from orchestration.domain.channel_kind import ChannelKind
from orchestration.domain.refusal import RefusalAssessment

OTHER = "other"

_FAILURES = (
    *("unreachable", "timeout", "rate_limited", "quota", "overloaded", "authentication", "model_missing", "retired"),
    *("content_filter", "bad_request", "malformed"),
)
# Every combination of labels is a time series of its own, so open sets such as run identifiers would grow without end
# (https://prometheus.io/docs/practices/naming/#labels).
LABELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "agent": ("planner", "executor", "reviewer", OTHER),
        "provider": ("ollama", "azure", "azureOpenAI", "github", "githubModels", "openai", "rehearsal", OTHER),
        "outcome": (
            *("ok", "succeeded", "not-approved", "incomplete", "limit_reached", "failed", "cancelled", "stopped"),
            *("retried", "no_route", *_FAILURES),
            OTHER,
        ),
        "direction": ("prompt", "completion", OTHER),
        "tool": (
            *("read_file", "list_files", "search_files", "repository_map", "write_file", "replace_in_file"),
            *("apply_patch", "delete_file", "move_file", "undo_edit", "run_command", "read_output"),
            OTHER,
        ),
        "about": ("path", "command", "tool", "host", OTHER),
        "assessment": (*(one.value for one in RefusalAssessment), OTHER),
        "because": ("refused", "left out", "echo", OTHER),
        "state": ("closed", "half_open", "open", OTHER),
        "use": ("busy", "idle", OTHER),
        "severity": ("P0", "P1", "P2", "P3", OTHER),
        "change": (
            *("detected", "acknowledged", "mitigating", "verifying", "resolved", "reopened", "in_review", "closed"),
            *("cancelled", "merged", "suppressed", "escalated"),
            OTHER,
        ),
        "channel": (*(kind.value for kind in ChannelKind), OTHER),
        "worker_change": ("started", "lost", "killed", "replaced", OTHER),
        "resource": ("cpu", "memory", "disk_free", OTHER),
        "heartbeat_status": ("new", "up", "started", "late", "failed", OTHER),
    }
)

# Seconds: from a tool that reads a file to a run that takes an hour.
_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A metric as it is declared; `labels` are keys of LABELS."""

    kind: type[Counter | Gauge | Histogram]
    name: str
    meaning: str
    labels: tuple[str, ...] = field(default=())


RUNS_STARTED = Instrument(Counter, "runs_started_total", "Runs that have begun.")
RUNS = Instrument(Counter, "runs_finished_total", "Runs that have come to an end.", ("outcome",))
RUNS_WAITING = Instrument(Counter, "run_waits_total", "How often a run had to wait for a provider or a person.")
AGENTS = Instrument(Counter, "agent_tasks_finished_total", "Tasks that agents have ended.", ("agent", "outcome"))
AGENT_SECONDS = Instrument(Histogram, "agent_task_seconds", "How long agents worked on a task.", ("agent",))
AGENT_RETRIES = Instrument(Counter, "agent_retries_total", "Tasks that an agent began anew.", ("agent",))
MODEL_CALLS = Instrument(Counter, "model_calls_total", "Model calls, by how they ended.", ("outcome",))
MODEL_TRIES = Instrument(
    Counter, "model_call_tries_total", "Attempts of model calls on single routes.", ("provider", "outcome")
)
FALLBACKS = Instrument(Counter, "model_call_fallbacks_total", "Model calls that another route than the first answered.")
MODEL_SECONDS = Instrument(Histogram, "model_call_seconds", "How long model calls took.", ("provider",))
FIRST_TOKEN = Instrument(Histogram, "model_first_token_seconds", "How long the first token took.", ("provider",))
TOKENS = Instrument(Counter, "model_tokens_total", "Tokens that providers have counted.", ("provider", "direction"))
CACHED_TOKENS = Instrument(
    Counter, "model_cached_tokens_total", "Tokens of prompts that providers have read from their cache.", ("provider",)
)
DOLLARS = Instrument(
    Counter, "model_cost_dollars_total", "What model calls have cost, where prices are known.", ("provider",)
)
TOOL_CALLS = Instrument(Counter, "tool_calls_total", "Tool calls, by how they ended.", ("tool", "outcome"))
TOOL_SECONDS = Instrument(Histogram, "tool_call_seconds", "How long tool calls took.", ("tool",))
REFUSED = Instrument(Counter, "tool_calls_refused_total", "Tool calls that were not allowed.", ("about", "assessment"))
ROUTE_CHANGES = Instrument(
    Counter, "route_changes_total", "Changes of a route's circuit breaker.", ("provider", "state")
)
ROUTES = Instrument(
    Gauge, "provider_routes", "Routes of a provider, by the state of their breaker.", ("provider", "state")
)
CONNECTIONS = Instrument(
    Gauge,
    "provider_connections",
    "Connections of the control process to a provider, by whether they carry a request or wait for one.",
    ("provider", "use"),
)
ISOLATED = Instrument(Gauge, "isolated", "1 while the system is isolated, else 0.")
PROVIDERS_USABLE = Instrument(Gauge, "providers_usable", "Members of the fallback chain that can be used.")
INCIDENTS = Instrument(
    Counter, "incident_changes_total", "Incidents that came to a state, drills left out.", ("severity", "change")
)
NOTIFICATIONS = Instrument(Counter, "notifications_total", "Notifications, by how they ended.", ("channel", "outcome"))
WORKERS = Instrument(Counter, "worker_changes_total", "Workers that began, ended or were replaced.", ("worker_change",))
LOG_ERRORS = Instrument(Counter, "log_errors_total", "Error lines in the log.")
ALERTS_MISSED = Instrument(
    Counter,
    "intake_alerts_missed_total",
    "Alerts of other systems that could not be read, that their sender left out, or that were echoes.",
    ("because",),
)
ALERTS_IN_STORMS = Instrument(
    Counter, "alerts_in_storms_total", "Alerts of other systems that share an incident, because there were too many."
)
HEARTBEATS = Instrument(Gauge, "heartbeats", "Heartbeats that are expected, by how they are.", ("heartbeat_status",))
SECRETS = Instrument(Counter, "secrets_found_total", "Secrets found or caught by redaction.")
SIGN_INS_FAILED = Instrument(Counter, "sign_ins_failed_total", "Sign-ins that failed.")
RESOURCE = Instrument(Gauge, "resource_ratio", "Use of a resource, as a share of what there is.", ("resource",))
LAG = Instrument(Gauge, "event_loop_lag_seconds", "By how much the event loop was late at worst.")
BACKUP_AGE = Instrument(Gauge, "backup_age_seconds", "Since the last backup that was made and checked.")
LOOP_FAILURES = Instrument(Counter, "monitoring_failures_total", "Looks of the monitoring that failed.")

INSTRUMENTS: tuple[Instrument, ...] = tuple(one for one in list(globals().values()) if isinstance(one, Instrument))


def label_value(label: str, value: object) -> str:
    """The value as it may stand on a metric: itself if it is one of the label's, else `other`."""
    text = str(value)
    return text if text in LABELS[label] else OTHER


class Metrics:
    """The instruments of one process, in a registry of their own. Safe to use from several threads."""

    def __init__(self) -> None:
        # Not the library's global registry, which refuses a name that a second application of the process declares
        # again.
        self._registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for one in INSTRUMENTS:
            name, buckets = f"orchestration_{one.name}", {"buckets": _BUCKETS} if one.kind is Histogram else {}
            self._made[one.name] = one.kind(name, one.meaning, one.labels, registry=self._registry, **buckets)  # type: ignore[arg-type]

    def count(self, instrument: Instrument, amount: float = 1.0, **labels: object) -> None:
        """Add to a counter."""
        cast("Counter", self._child(instrument, labels)).inc(amount)

    def observe(self, instrument: Instrument, value: float, **labels: object) -> None:
        """Add a measurement to a histogram."""
        cast("Histogram", self._child(instrument, labels)).observe(value)

    def set(self, instrument: Instrument, value: float, **labels: object) -> None:
        """Say what a gauge stands at."""
        cast("Gauge", self._child(instrument, labels)).set(value)

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _child(self, instrument: Instrument, labels: Mapping[str, object]) -> Counter | Gauge | Histogram:
        made = self._made[instrument.name]
        if not instrument.labels:
            return made
        return made.labels(**{name: label_value(name, labels.get(name, OTHER)) for name in instrument.labels})
