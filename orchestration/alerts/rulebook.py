"""All rules with their windows: signals go in, observations come out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from orchestration.alerts import defaults
from orchestration.alerts.active_alerts import cleared_observation
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.evaluation import active_series, observe
from orchestration.alerts.facts import FactContext
from orchestration.alerts.model import Alert, AlertObservation, AlertTiming
from orchestration.alerts.rules import AlertRule
from orchestration.alerts.signal import Signal
from orchestration.alerts.window import SignalWindow
from orchestration.config.alerting import AlertingSettings
from orchestration.config.schema import Configuration

# Signals that wait for an evaluation. If evaluations stop, the oldest are dropped instead of filling the memory.
_MAX_WAITING = 100_000
# After a longer gap than this between two evaluations (a suspended machine, a clock that was set) signals were missed,
# so their absence proves nothing.
_MAX_GAP_SECONDS = 60.0
_USABLE = "providers_usable"


class Rulebook:
    """The rules in force. `add_signal` may be called on any thread."""

    def __init__(self, errors: ErrorIsolation) -> None:
        self.unknown = 0
        self._errors = errors
        self._waiting: deque[Signal] = deque(maxlen=_MAX_WAITING)
        self._recalled: tuple[Signal, ...] = ()
        self._configured: Configuration | None = None
        self._windows: dict[str, SignalWindow] = {}
        self._by_signal: dict[str, list[SignalWindow]] = {}
        self._facts = FactContext()
        self._watched_since: datetime | None = None
        self._observed_at: datetime | None = None

    def add_signal(self, signal: Signal) -> None:
        """Add a signal for the next evaluation; never blocks."""
        self._waiting.append(signal)

    def recall(self, signals: Iterable[Signal]) -> None:
        """Add signals from before this process led, oldest first, for rules that need several samples.

        A rule for which one signal is enough fired at its time; firing again now would report an old problem as new.
        """
        self._recalled = tuple(signals)

    def reset(self) -> None:
        """Drop all signals and windows."""
        self._waiting.clear()
        self._recalled = ()
        self._configured = None
        self._windows = {}
        self._watched_since = None

    def configure(self, configuration: Configuration) -> None:
        """Use the rules of a configuration. An unchanged rule keeps its window."""
        # The configuration is replaced as a whole when it changes, so identity is enough, and this runs several times a
        # second.
        if configuration is self._configured:
            return
        windows = {}
        for rule in defaults.rules(configuration):
            old = self._windows.get(rule.name)
            # An edit of one rule must not restart the windows of the others: each would need to be watched for a whole
            # window again.
            windows[rule.name] = old if old is not None and old.rule == rule else SignalWindow(rule)
        self._windows = windows
        self._by_signal = {}
        for window in windows.values():
            for name in {window.rule.signal, *window.rule.cleared_by}:
                self._by_signal.setdefault(name, []).append(window)
        self._facts = FactContext(len(configuration.agents), self._facts.providers_usable)
        self._configured = configuration

    def observe(self, now: datetime, alerts: Sequence[Alert]) -> Iterator[tuple[AlertObservation, AlertTiming]]:
        """What every rule observes now, with its timing. `alerts` are the unresolved alerts of rules; where a rule was
        removed, the condition counts as gone."""
        self._add_recalled()
        self._add_waiting()
        watched = self._watched(now)
        settings = AlertingSettings() if self._configured is None else self._configured.alerting
        for window in self._windows.values():
            observations: list[AlertObservation] = []
            with self._errors.isolate(f"rule {window.rule.name}"):
                active = active_series(window.rule, alerts)
                observations = list(observe(window, now, watched, self._facts, active))
            timing = timing_of(settings, window.rule)
            yield from ((one, timing) for one in observations)
        for alert in alerts:
            if alert.name not in self._windows:
                # Without this, an alert of a rule that was switched off would fire for ever, since nothing observes it
                # any more.
                yield cleared_observation(alert, now), timing_of(settings)

    @property
    def dropped(self) -> int:
        """How many samples were dropped because a window was full."""
        return sum(window.dropped for window in self._windows.values())

    def _add_recalled(self) -> None:
        recalled, self._recalled = self._recalled, ()
        for signal in recalled:
            for window in self._by_signal.get(signal.name, ()):
                if window.rule.needs_history:
                    with self._errors.isolate(f"signal {signal.name}"):
                        window.add(signal)

    def _add_waiting(self) -> None:
        while self._waiting:
            signal = self._waiting.popleft()
            with self._errors.isolate(f"signal {signal.name}"):
                self._add(signal)

    def _add(self, signal: Signal) -> None:
        if not math.isfinite(signal.value) or signal.at.tzinfo is None:
            raise ValueError(f"expected a finite value at a time with a zone, got {signal.value} at {signal.at}")
        if signal.name == _USABLE:
            self._facts = FactContext(self._facts.agents, int(signal.value))
        windows = self._by_signal.get(signal.name, ())
        # Not an error: a collector from a plug-in may send signals for which nobody has written a rule.
        self.unknown += not windows
        for window in windows:
            window.add(signal)

    def _watched(self, now: datetime) -> float:
        """For how many seconds evaluations have come without a gap."""
        gap = 0.0 if self._observed_at is None else (now - self._observed_at).total_seconds()
        if self._watched_since is None or not 0 <= gap <= _MAX_GAP_SECONDS:
            self._watched_since = now
        self._observed_at = now
        return (now - self._watched_since).total_seconds()


def timing_of(settings: AlertingSettings, rule: AlertRule | None = None) -> AlertTiming:
    """The timing of a rule's alerts. Inbound alerts are not held: their sender has done that."""
    flapping = settings.flapping
    hold, keep = (0.0, 0.0) if rule is None else (rule.hold, rule.keep_firing)
    return AlertTiming(hold, keep, flapping.transitions, flapping.window, flapping.quiet)
