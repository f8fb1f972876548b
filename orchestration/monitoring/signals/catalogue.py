"""Every signal there is, and every event that becomes one. The reference page is written from here."""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.events.agents import AgentFinished, AgentRetried, ToolCallRefused
from orchestration.events.maintenance import BackupCreated, BackupFailed
from orchestration.events.notifications import NotificationFailed, NotificationRetried, NotificationSent
from orchestration.events.payload import EventPayload
from orchestration.events.providers import ModelCallFailed, ModelCallFinished, RouteClosed, RouteOpened
from orchestration.events.runs import (
    ApprovalDecided,
    ApprovalRequested,
    RunCancelled,
    RunContinued,
    RunCreated,
    RunFinished,
    RunWaiting,
)
from orchestration.events.security import RevokedTokenUsed, SecretRedacted, SignInFailed
from orchestration.events.tools import ToolHeld, ToolServerFailed, ToolServerRecovered
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted
from orchestration.monitoring.signals.descriptor import SignalDescriptor


@dataclass(frozen=True, slots=True)
class EventSignal:
    """An event that becomes signals, with the data that is read from it."""

    event: type[EventPayload]
    data: tuple[str, ...]
    signals: tuple[str, ...]


SIGNALS: tuple[SignalDescriptor, ...] = (
    SignalDescriptor(
        "provider_up",
        ("provider",),
        "1: it answers, 0: it does not; evidence: reason, detail",
        unit="state",
        source="providers",
        gauge=True,
    ),
    SignalDescriptor(
        "provider_left",
        ("provider",),
        "1; a person has taken it out of the configuration",
        unit="occurrence",
        source="providers",
    ),
    SignalDescriptor(
        "providers_usable",
        (),
        "members of the fallback chain that answer",
        unit="providers",
        source="providers",
        gauge=True,
    ),
    SignalDescriptor(
        "vendor_outage",
        ("provider",),
        "1: its vendor reports an outage or a degradation, 0: none; evidence: announced, sources",
        unit="state",
        source="service_status",
        gauge=True,
    ),
    SignalDescriptor(
        "agent_finished",
        ("agent", "run", "outcome", "kind", "failure"),
        "1; outcome succeeded, failed or limit_reached; kind and class of the failure; evidence: cause, message",
        unit="occurrence",
    ),
    SignalDescriptor(
        "agent_retried",
        ("agent", "run", "reason"),
        "1; an agent starts over in a fresh conversation; reason is the kind of failure that the last one ended with",
        unit="occurrence",
    ),
    SignalDescriptor("agent_succeeded", ("agent",), "1; whatever it failed at before is over", unit="occurrence"),
    SignalDescriptor(
        "run_finished",
        ("run", "outcome", "agent", "failure"),
        "1; outcome is the run's status; agent and class of a failure; evidence: cause, reason",
        unit="occurrence",
    ),
    SignalDescriptor(
        "run_judged",
        ("agent", "run", "outcome"),
        "1; the work of that agent was judged: outcome succeeded, not-approved or incomplete",
        unit="occurrence",
    ),
    SignalDescriptor(
        "run_waiting",
        ("run",),
        "1: it waits, 0: it goes on; evidence: reason, hints",
        unit="state",
    ),
    SignalDescriptor(
        "model_call",
        ("provider", "model", "outcome"),
        "seconds that one try took; outcome ok or a failure class",
        unit="seconds",
    ),
    SignalDescriptor(
        "latency_ratio",
        ("provider", "model"),
        "median latency now ÷ its own baseline",
        unit="ratio",
        source="calls",
        gauge=True,
    ),
    SignalDescriptor(
        "error_rate_ratio",
        ("provider", "model"),
        "share of failed tries now ÷ its own baseline",
        unit="ratio",
        source="calls",
        gauge=True,
    ),
    SignalDescriptor(
        "progress_age_seconds",
        ("run", "agent"),
        "since the last progress; agent empty: between two agents",
        unit="seconds",
        source="runs",
    ),
    SignalDescriptor(
        "unplaced_seconds",
        ("run", "agent", "label"),
        "for how long an agent has waited for a worker with its label; evidence: doing",
        unit="seconds",
        source="runs",
    ),
    SignalDescriptor(
        "run_overdue_ratio", ("run",), "time at work ÷ time expected from past runs", unit="ratio", source="runs"
    ),
    SignalDescriptor(
        "cpu_percent",
        ("host",),
        "processor use, of the container's limit where there is one",
        unit="percent",
        source="resources",
        gauge=True,
    ),
    SignalDescriptor(
        "memory_percent",
        ("host",),
        "memory use, of the container's limit where there is one",
        unit="percent",
        source="resources",
        gauge=True,
    ),
    SignalDescriptor(
        "disk_free_percent",
        ("host", "path"),
        "free space or free files, whichever is less",
        unit="percent",
        source="resources",
        gauge=True,
    ),
    SignalDescriptor(
        "event_loop_lag_seconds",
        ("process",),
        "by how much the event loop was late at worst",
        unit="seconds",
        source="loop_lag",
        gauge=True,
    ),
    SignalDescriptor(
        "database_up",
        (),
        "1: it answers, 0: it does not",
        unit="state",
        source="databases",
    ),
    SignalDescriptor(
        "database_intact", (), "1: its check found nothing, 0: it is damaged", unit="state", source="databases"
    ),
    SignalDescriptor(
        "tool_server_up", ("server",), "1: a server of tools works, 0: it does not; evidence: reason", unit="state"
    ),
    SignalDescriptor(
        "tool_held",
        ("server", "tool"),
        "1; a tool of a server is not offered to agents; evidence: reason",
        unit="occurrence",
    ),
    SignalDescriptor(
        "worker_up", ("worker",), "1: its lease is good, 0: it stopped renewing it", unit="state", source="workers"
    ),
    SignalDescriptor(
        "worker_replaced", ("worker",), "1; its supervisor started another in its place", unit="occurrence"
    ),
    SignalDescriptor(
        "loop_age_seconds",
        ("loop",),
        "by how much a loop of the system is behind its own interval",
        unit="seconds",
        source="monitor",
    ),
    SignalDescriptor(
        "schedule_late_seconds",
        ("schedule",),
        "how late a schedule started a run",
        unit="seconds",
    ),
    SignalDescriptor(
        "backup_age_seconds",
        (),
        "since the last backup that was made and checked",
        unit="seconds",
        source="backups",
        gauge=True,
    ),
    SignalDescriptor(
        "backup_made",
        (),
        "1; a backup was made and checked",
        unit="occurrence",
    ),
    SignalDescriptor(
        "backup_failed",
        (),
        "1; evidence: message",
        unit="occurrence",
    ),
    SignalDescriptor(
        "channel_up",
        ("channel",),
        "1: the last delivery went through, 0: it failed",
        unit="state",
    ),
    SignalDescriptor(
        "log_errors",
        ("fingerprint",),
        "error lines since the last round; evidence: sample, new",
        unit="lines",
        source="log_errors",
    ),
    SignalDescriptor(
        "sign_in_failed",
        ("source",),
        "1; evidence: user, reason",
        unit="occurrence",
    ),
    SignalDescriptor(
        "token_revoked",
        ("source",),
        "1: a request came with a token that is revoked; evidence: token",
        unit="occurrence",
    ),
    SignalDescriptor(
        "tool_refused",
        ("agent", "run", "about", "assessment"),
        "1; assessment slip, suspicious or attack; evidence: what, reason, because",
        unit="occurrence",
    ),
    SignalDescriptor(
        "secret_found",
        ("kind", "place", "run", "agent"),
        "how many, 0 when gone; evidence: redacted, suspected (only what stands around it says that it is one), lines",
        unit="secrets",
        source="secrets",
    ),
    SignalDescriptor(
        "vulnerability",
        ("package", "version", "advisory"),
        "1; evidence: summary, fixed",
        unit="occurrence",
        source="vulnerabilities",
    ),
)

EVENTS: tuple[EventSignal, ...] = (
    EventSignal(AgentFinished, ("agent_run_id", "failing", "config_version"), ("agent_finished", "agent_succeeded")),
    EventSignal(AgentRetried, ("reason",), ("agent_retried",)),
    EventSignal(
        RunFinished, ("status", "reason", "by_agent", "failure", "config_version"), ("run_finished", "run_judged")
    ),
    EventSignal(RunCancelled, ("reason",), ("run_finished",)),
    EventSignal(RunWaiting, ("reason", "hints"), ("run_waiting",)),
    EventSignal(ApprovalRequested, ("question",), ("run_waiting",)),
    EventSignal(RunContinued, (), ("run_waiting",)),
    EventSignal(ApprovalDecided, (), ("run_waiting",)),
    EventSignal(ModelCallFinished, ("tries", "seconds"), ("model_call",)),
    EventSignal(ModelCallFailed, ("tries", "seconds"), ("model_call",)),
    EventSignal(RouteOpened, ("route", "provider", "reason", "detail"), ("provider_up", "providers_usable")),
    EventSignal(RouteClosed, ("route", "provider"), ("provider_up", "providers_usable")),
    EventSignal(ToolCallRefused, ("about", "what", "reason", "assessment", "because"), ("tool_refused",)),
    EventSignal(ToolServerFailed, ("server", "reason"), ("tool_server_up",)),
    EventSignal(ToolServerRecovered, ("server",), ("tool_server_up",)),
    EventSignal(ToolHeld, ("server", "tool", "reason"), ("tool_held",)),
    EventSignal(SecretRedacted, ("found", "place", "count"), ("secret_found",)),
    EventSignal(SignInFailed, ("source", "user", "reason"), ("sign_in_failed",)),
    EventSignal(RevokedTokenUsed, ("source", "name"), ("token_revoked",)),
    EventSignal(BackupCreated, (), ("backup_age_seconds", "backup_made")),
    EventSignal(BackupFailed, ("message",), ("backup_failed",)),
    EventSignal(RunCreated, ("schedule", "due_at"), ("schedule_late_seconds",)),
    EventSignal(NotificationSent, ("channel",), ("channel_up",)),
    EventSignal(NotificationRetried, ("channel", "message"), ("channel_up",)),
    EventSignal(NotificationFailed, ("channel", "message"), ("channel_up",)),
    EventSignal(WorkerStarted, ("worker", "pid"), ("worker_up",)),
    EventSignal(WorkerLost, ("worker", "exit_code"), ("worker_up",)),
    EventSignal(WorkerKilled, ("worker", "reason"), ("worker_up",)),
    EventSignal(WorkerReplaced, ("worker",), ("worker_replaced",)),
)

GAUGES = frozenset(signal.name for signal in SIGNALS if signal.gauge)

_PAGE = """# Signals

What monitoring observes, before any rule has evaluated it. Alert rules read these names, labels and values. The unit
`state` is 1 or 0; a ratio of 1 is as usual.

| signal | labels | unit | value | reported by |
| --- | --- | --- | --- | --- |
{signals}

## From which events

These events become signals at once. Missing data counts as empty. The event of a run that a schedule started has the
time at which it was due as `due_at`. `drill: true` in an event's data marks its signals as those of a drill.

| event | data | signals |
| --- | --- | --- |
{events}

Collectors report the others: they check resources, providers, runs and their heartbeats, the database, the leases of
workers, the log, the files that agents have written, and the installed packages. A package can add
[a signal of your own](../how-to/own-signal.md).
"""


def signals_page() -> str:
    """The reference page, in Markdown."""
    signals = [
        f"| `{one.name}` | {_names(one.labels)} | {one.unit} | {one.meaning} | {_reporters(one)} |" for one in SIGNALS
    ]
    events = [f"| `{one.event.kind}` | {_names(one.data)} | {_names(one.signals)} |" for one in EVENTS]
    return _PAGE.format(signals="\n".join(signals), events="\n".join(events))


def _reporters(signal: SignalDescriptor) -> str:
    collector = [f"the collector `{signal.source}`"] if signal.source else []
    events = ["events"] if any(signal.name in one.signals for one in EVENTS) else []
    return " and ".join([*collector, *events])


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"
