"""Counts what happens: hand `Counting.take` to the bus as a subscriber."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestration import metrics
from orchestration.alerts.signal import Signal
from orchestration.events import Event
from orchestration.metrics import Metrics
from orchestration.monitoring.signals.event_signals import tries_of


class EventCounters:
    """Reads events and signals into the metrics. Quick, and never raises for data that is not as expected.

    `channel_type` tells the type of a channel of the configuration by its name, which is the user's own.
    """

    def __init__(self, instruments: Metrics, channel_type: Callable[[str], str] = str) -> None:
        self._metrics = instruments
        self._channel_type = channel_type
        self._readers: Mapping[str, Callable[[Event], None]] = {
            "run.started": lambda _: self._metrics.count(metrics.RUNS_STARTED),
            "run.finished": lambda event: self._metrics.count(metrics.RUNS, outcome=event.data.get("status")),
            "run.cancelled": lambda _: self._metrics.count(metrics.RUNS, outcome="cancelled"),
            "run.stopped": lambda _: self._metrics.count(metrics.RUNS, outcome="stopped"),
            "run.waiting": lambda _: self._metrics.count(metrics.RUNS_WAITING),
            "approval.requested": lambda _: self._metrics.count(metrics.RUNS_WAITING),
            "agent.finished": self._agent_finished,
            "agent.retried": lambda event: self._metrics.count(metrics.AGENT_RETRIES, agent=event.agent),
            "model_call.finished": self._model_call,
            "model_call.failed": self._model_call,
            "tool_call.finished": self._tool_call,
            "tool_call.refused": lambda event: self._metrics.count(metrics.REFUSED, about=event.data.get("about")),
            "secret.redacted": lambda event: self._add(metrics.SECRETS, event.data.get("count", 1)),
            "sign_in.failed": lambda _: self._metrics.count(metrics.SIGN_INS_FAILED),
        }

    def take(self, event: Event) -> None:
        """Count an event."""
        if (reader := self._readers.get(event.kind)) is not None:
            reader(event)
            return
        subject, _, change = event.kind.partition(".")
        if subject == "route":
            state = {"opened": "open"}.get(change, change)
            self._metrics.count(metrics.ROUTE_CHANGES, provider=event.data.get("provider"), state=state)
        elif subject == "incident" and event.data.get("drill") is not True:
            self._metrics.count(metrics.INCIDENTS, severity=event.data.get("severity"), change=change)
        elif subject == "notification":
            outcome = "ok" if change == "sent" else change
            channel = self._channel_type(str(event.data.get("channel")))
            self._metrics.count(metrics.NOTIFICATIONS, channel=channel, outcome=outcome)
        elif subject == "worker":
            self._metrics.count(metrics.WORKERS, worker_change=change)

    def measure(self, signals: Iterable[Signal]) -> None:
        """Take over what was seen: gauges, of several disks the fullest, and counts that no event tells."""
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
            elif signal.name == "secret_found" and not signal.evidence.get("redacted"):
                self._metrics.count(metrics.SECRETS, signal.value)
        if disks:
            self._metrics.set(metrics.RESOURCE, min(disks) / 100, resource="disk_free")

    def failed_look(self) -> None:
        """Count a look of the monitoring that failed."""
        self._metrics.count(metrics.LOOP_FAILURES)

    def routes(self, states: Iterable[tuple[str, str]]) -> None:
        """Set how many routes of each provider are in each state."""
        counted: dict[tuple[str, str], int] = {}
        for provider, state in states:
            key = metrics.label_value("provider", provider), metrics.label_value("state", state)
            counted[key] = counted.get(key, 0) + 1
        for provider in {provider for provider, _ in counted}:
            for state in metrics.LABELS["state"]:
                self._metrics.set(metrics.ROUTES, counted.get((provider, state), 0), provider=provider, state=state)

    def _agent_finished(self, event: Event) -> None:
        outcome = "failed" if event.data.get("failing") else "succeeded"
        self._metrics.count(metrics.AGENTS, agent=event.agent, outcome=outcome)
        use = event.data.get("use")
        seconds = use.get("seconds") if isinstance(use, Mapping) else None
        self._observe(metrics.AGENT_SECONDS, seconds, agent=event.agent)

    def _model_call(self, event: Event) -> None:
        data = event.data
        self._metrics.count(metrics.MODEL_CALLS, outcome=data.get("outcome"))
        tries = list(tries_of(event))
        for provider, _, one in tries:
            self._metrics.count(metrics.MODEL_TRIES, provider=provider, outcome=one.get("outcome"))
        if event.kind == "model_call.failed":
            return
        answered = str(data.get("route", ""))
        provider = answered.partition("/")[0]
        if tries and tries[0][2].get("route") != answered:
            self._metrics.count(metrics.FALLBACKS)
        self._observe(metrics.MODEL_SECONDS, data.get("seconds"), provider=provider)
        self._observe(metrics.FIRST_TOKEN, data.get("first_token_seconds"), provider=provider)
        for direction in ("prompt", "completion"):
            tokens = data.get(f"{direction}_tokens")
            self._add(metrics.TOKENS, tokens, provider=provider, direction=direction)
        self._add(metrics.DOLLARS, data.get("usd"), provider=provider)

    def _tool_call(self, event: Event) -> None:
        tool = event.data.get("tool")
        outcome = "ok" if event.data.get("ok") else "failed"
        self._metrics.count(metrics.TOOL_CALLS, tool=tool, outcome=outcome)
        self._observe(metrics.TOOL_SECONDS, event.data.get("seconds"), tool=tool)

    def _observe(self, instrument: metrics.Instrument, value: Any, **labels: object) -> None:
        if isinstance(value, int | float):
            self._metrics.observe(instrument, float(value), **labels)

    def _add(self, instrument: metrics.Instrument, value: Any, **labels: object) -> None:
        if isinstance(value, int | float) and value >= 0:
            self._metrics.count(instrument, float(value), **labels)
