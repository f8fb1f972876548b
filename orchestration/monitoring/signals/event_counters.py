"""Counts events and signals into the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestration import metrics
from orchestration.alerts.signal import Signal
from orchestration.events import Event
from orchestration.events.agents import AgentFinished, AgentRetried, ToolCallFinished, ToolCallRefused
from orchestration.events.alerts import DeliveryIncomplete, EchoesDropped, StormChanged
from orchestration.events.incidents import IncidentEvent
from orchestration.events.notifications import NotificationEvent, NotificationSent
from orchestration.events.payload import EventPayload
from orchestration.events.providers import ModelCallFailed, ModelCallFinished, RouteEvent, RouteOpened
from orchestration.events.runs import ApprovalRequested, RunCancelled, RunFinished, RunStarted, RunStopped, RunWaiting
from orchestration.events.security import SecretRedacted, SignInFailed
from orchestration.events.workers import WorkerKilled, WorkerLost, WorkerReplaced, WorkerStarted
from orchestration.metrics import Metrics
from orchestration.monitoring.signals.event_signals import outcome_of


class EventCounters:
    """Reads events and signals into the metrics. Quick, and never raises.

    `channel_type` maps a channel's name to its type: names are the user's own, and a label must have few values.
    """

    def __init__(self, instruments: Metrics, channel_type: Callable[[str], str] = str) -> None:
        self._metrics = instruments
        self._channel_type = channel_type

    def on_event(self, event: Event) -> None:
        """Count an event. Subscribe it to the bus."""
        count, payload = self._metrics.count, event.payload
        match payload:
            case RunStarted():
                count(metrics.RUNS_STARTED)
            case RunFinished():
                count(metrics.RUNS, outcome=payload.status)
            case RunCancelled() | RunStopped():
                count(metrics.RUNS, outcome=payload.kind.rpartition(".")[2])
            case RunWaiting() | ApprovalRequested():
                count(metrics.RUNS_WAITING)
            case AgentFinished():
                self._agent_finished(event.agent, payload)
            case AgentRetried():
                count(metrics.AGENT_RETRIES, agent=event.agent)
            case ModelCallFinished() | ModelCallFailed():
                self._model_call(payload)
            case ToolCallFinished():
                self._tool_call(payload)
            case ToolCallRefused():
                count(metrics.REFUSED, about=payload.about, assessment=payload.assessment)
            case SecretRedacted():
                self._add(metrics.SECRETS, payload.count)
            case SignInFailed():
                count(metrics.SIGN_INS_FAILED)
            case _:
                self._count_change(payload)

    def _count_change(self, payload: EventPayload) -> None:
        """Count a change of something that has many: the last part of the kind is the label."""
        change = payload.kind.rpartition(".")[2]
        match payload:
            case DeliveryIncomplete():
                self._add(metrics.ALERTS_MISSED, payload.refused, because="refused")
                self._add(metrics.ALERTS_MISSED, payload.left_out, because="left out")
            case EchoesDropped():
                self._add(metrics.ALERTS_MISSED, payload.count, because="echo")
            case StormChanged() if not payload.drill:
                self._add(metrics.ALERTS_IN_STORMS, payload.began)
            case RouteEvent():
                state = "open" if isinstance(payload, RouteOpened) else change
                self._metrics.count(metrics.ROUTE_CHANGES, provider=payload.provider, state=state)
            # Figures about real incidents must not include those that a drill has caused.
            case IncidentEvent() if payload.drill is not True:
                self._metrics.count(metrics.INCIDENTS, severity=payload.severity, change=change)
            case NotificationEvent():
                outcome = "ok" if isinstance(payload, NotificationSent) else change
                channel = self._channel_type(payload.channel)
                self._metrics.count(metrics.NOTIFICATIONS, channel=channel, outcome=outcome)
            case WorkerStarted() | WorkerLost() | WorkerKilled() | WorkerReplaced():
                self._metrics.count(metrics.WORKERS, worker_change=change)

    def measure(self, signals: Iterable[Signal]) -> None:
        """Set the gauges from signals (of several disks the fullest), and count what no event reports."""
        disks: list[float] = []
        for signal in signals:
            if signal.name in ("cpu_percent", "memory_percent"):
                resource = signal.name.removesuffix("_percent")
                self._metrics.set(metrics.RESOURCE, signal.value / 100, resource=resource)
            elif signal.name == "disk_free_percent":
                disks.append(signal.value)
            elif signal.name == "event_loop_lag_seconds":
                self._metrics.set(metrics.LAG, signal.value)
            elif signal.name == "providers_usable":
                self._metrics.set(metrics.PROVIDERS_USABLE, signal.value)
            elif signal.name == "backup_age_seconds":
                self._metrics.set(metrics.BACKUP_AGE, signal.value)
            elif signal.name == "log_errors":
                self._metrics.count(metrics.LOG_ERRORS, signal.value)
            # What was redacted before it was stored is counted by its event already.
            elif signal.name == "secret_found" and not signal.evidence.get("redacted"):
                self._metrics.count(metrics.SECRETS, signal.value)
        if disks:
            self._metrics.set(metrics.RESOURCE, min(disks) / 100, resource="disk_free")

    def count_failed_round(self) -> None:
        """Count a round of a collector that failed."""
        self._metrics.count(metrics.LOOP_FAILURES)

    def routes(self, states: Iterable[tuple[str, str]]) -> None:
        """Set how many routes of each provider are in each state."""
        counted: dict[tuple[str, str], int] = {}
        for provider, state in states:
            # Mapped to the labels' values first: two providers that both become `other` would overwrite each
            # other's counts.
            key = metrics.label_value("provider", provider), metrics.label_value("state", state)
            counted[key] = counted.get(key, 0) + 1
        for provider in {provider for provider, _ in counted}:
            for state in metrics.LABELS["state"]:
                self._metrics.set(metrics.ROUTES, counted.get((provider, state), 0), provider=provider, state=state)

    def _agent_finished(self, agent: str | None, payload: AgentFinished) -> None:
        self._metrics.count(metrics.AGENTS, agent=agent, outcome=outcome_of(payload.failing))
        self._metrics.observe(metrics.AGENT_SECONDS, payload.use.seconds, agent=agent)

    def _model_call(self, payload: ModelCallFinished | ModelCallFailed) -> None:
        self._metrics.count(metrics.MODEL_CALLS, outcome=payload.outcome)
        for attempt in payload.tries:
            self._metrics.count(metrics.MODEL_TRIES, provider=attempt.names[0], outcome=attempt.outcome)
        if isinstance(payload, ModelCallFailed):
            return
        provider = payload.route.partition("/")[0]
        # The last attempt is the one that answered; a retry at the same route is no fallback.
        if payload.tries and payload.tries[0].route != payload.route:
            self._metrics.count(metrics.FALLBACKS)
        self._metrics.observe(metrics.MODEL_SECONDS, payload.seconds, provider=provider)
        if payload.first_token_seconds is not None:
            self._metrics.observe(metrics.FIRST_TOKEN, payload.first_token_seconds, provider=provider)
        self._add(metrics.TOKENS, payload.prompt_tokens, provider=provider, direction="prompt")
        self._add(metrics.TOKENS, payload.completion_tokens, provider=provider, direction="completion")
        self._add(metrics.CACHED_TOKENS, payload.cached_tokens, provider=provider)
        self._add(metrics.DOLLARS, payload.usd or 0.0, provider=provider)

    def _tool_call(self, payload: ToolCallFinished) -> None:
        outcome = "ok" if payload.ok else "failed"
        self._metrics.count(metrics.TOOL_CALLS, tool=payload.tool, outcome=outcome)
        self._metrics.observe(metrics.TOOL_SECONDS, payload.seconds, tool=payload.tool)

    def _add(self, instrument: metrics.Instrument, value: float, **labels: object) -> None:
        if value >= 0:  # a counter that was given a negative number would raise
            self._metrics.count(instrument, float(value), **labels)
