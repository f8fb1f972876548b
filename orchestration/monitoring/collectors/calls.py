"""Watches latencies and failures of model calls against each route's own baseline."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.monitoring.collectors.baseline import Baseline

# These outcomes depend on the request, not on the route.
_NO_MEASURE = frozenset({"bad_request", "content_filter", "cancelled", ""})
# A bound on memory: a program that asks for made-up model names must not grow it without end.
_MOST_ROUTES = 200


class CallWatch:
    """Learns from `model_call` signals. Safe to use from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._routes: dict[tuple[str, str], Baseline] = {}

    def record(self, signals: Iterable[Signal]) -> None:
        """Add calls to the baselines of their routes."""
        for signal in signals:
            outcome = signal.labels.get("outcome", "")
            if signal.name != "model_call" or outcome in _NO_MEASURE:
                continue
            key = signal.labels.get("provider", ""), signal.labels.get("model", "")
            with self._lock:
                if key in self._routes or len(self._routes) < _MOST_ROUTES:
                    baseline = self._routes.setdefault(key, Baseline())
                    baseline.add(signal.at.timestamp(), signal.value, ok=outcome == "ok")

    async def collect(self) -> tuple[Signal, ...]:
        """The ratios of the routes for which enough calls are known."""
        now = self._clock.now()
        found = []
        with self._lock:
            for (provider, model), baseline in self._routes.items():
                labels = {"provider": provider, "model": model}
                for name, ratio in (
                    ("latency_ratio", baseline.latency_ratio(now.timestamp())),
                    ("error_rate_ratio", baseline.error_rate_ratio(now.timestamp())),
                ):
                    if ratio is not None:
                        found.append(Signal(name, now, round(ratio, 3), labels))
        return tuple(found)
