"""The rules at work: signals go into their windows, and observations come out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from orchestration.alerts import defaults
from orchestration.alerts.active_alerts import over
from orchestration.alerts.error_isolation import ErrorIsolation
from orchestration.alerts.evaluation import active_series, observe
from orchestration.alerts.facts import FactContext
from orchestration.alerts.model import Alert, AlertObservation, AlertTiming
from orchestration.alerts.rules import AlertRule
from orchestration.alerts.signal import Signal
from orchestration.alerts.window import SignalWindow
from orchestration.config.alerting import AlertingSettings
from orchestration.config.schema import Configuration

_MOST_WAITING = 100_000
# Who looks again only after a longer time than this (a suspended machine, a clock that was set) was not watching.
_ATTENTION_SECONDS = 60.0
_USABLE = "providers_usable"


class Rulebook:
    """All rules with their windows. `take` may be called on any thread."""

    def __init__(self, troubles: ErrorIsolation) -> None:
        self.unknown = 0
        self._troubles = troubles
        self._waiting: deque[Signal] = deque(maxlen=_MOST_WAITING)
        self._recalled: tuple[Signal, ...] = ()
        self._configured: Configuration | None = None
        self._windows: dict[str, SignalWindow] = {}
        self._listening: dict[str, list[SignalWindow]] = {}
        self._around = FactContext()
        self._began: datetime | None = None
        self._looked_at: datetime | None = None

    def take(self, signal: Signal) -> None:
        """Accept a signal; never blocks."""
        self._waiting.append(signal)

    def recall(self, signals: Iterable[Signal]) -> None:
        """What was seen before anybody looks, oldest first. It is for rules that gather: what one signal alone makes an
        alert was told at its time, or nobody asked for it."""
        self._recalled = tuple(signals)

    def forget(self) -> None:
        """Begin to look anew: what was seen before says nothing any more."""
        self._waiting.clear()
        self._recalled = ()
        self._configured = None
        self._windows = {}
        self._began = None

    def configure(self, configuration: Configuration) -> None:
        """Use the rules of this configuration. A rule that stays as it was keeps its window."""
        if configuration is self._configured:
            return
        windows = {}
        for rule in defaults.rules(configuration):
            old = self._windows.get(rule.name)
            windows[rule.name] = old if old is not None and old.rule == rule else SignalWindow(rule)
        self._windows = windows
        self._listening = {}
        for window in windows.values():
            for name in {window.rule.signal, *window.rule.cleared_by}:
                self._listening.setdefault(name, []).append(window)
        self._around = FactContext(len(configuration.agents), self._around.providers_usable)
        self._configured = configuration

    def look(self, now: datetime, alerts: Sequence[Alert]) -> Iterator[tuple[AlertObservation, AlertTiming]]:
        """What every rule sees now, with its patience. `alerts` are those that rules have made and that are not over;
        of one whose rule is gone, the condition is gone too."""
        self._remember()
        self._take_in()
        watched = self._watched(now)
        settings = AlertingSettings() if self._configured is None else self._configured.alerting
        for window in self._windows.values():
            seen: list[AlertObservation] = []
            with self._troubles.contained(f"rule {window.rule.name}"):
                active = active_series(window.rule, alerts)
                seen = list(observe(window, now, watched, self._around, active))
            timing = timing_of(settings, window.rule)
            yield from ((one, timing) for one in seen)
        for alert in alerts:
            if alert.name not in self._windows:
                yield over(alert, now), timing_of(settings)

    @property
    def dropped(self) -> int:
        """How many samples were left out because a window was full."""
        return sum(window.dropped for window in self._windows.values())

    def _remember(self) -> None:
        recalled, self._recalled = self._recalled, ()
        for signal in recalled:
            for window in self._listening.get(signal.name, ()):
                if window.rule.gathers:
                    with self._troubles.contained(f"signal {signal.name}"):
                        window.add(signal)

    def _take_in(self) -> None:
        while self._waiting:
            signal = self._waiting.popleft()
            with self._troubles.contained(f"signal {signal.name}"):
                self._put(signal)

    def _put(self, signal: Signal) -> None:
        if not math.isfinite(signal.value) or signal.at.tzinfo is None:
            raise ValueError(f"expected a finite value at a time with a zone, got {signal.value} at {signal.at}")
        if signal.name == _USABLE:
            self._around = FactContext(self._around.agents, int(signal.value))
        listening = self._listening.get(signal.name, ())
        self.unknown += not listening
        for window in listening:
            window.add(signal)

    def _watched(self, now: datetime) -> float:
        """For how many seconds somebody has looked without a break."""
        gap = 0.0 if self._looked_at is None else (now - self._looked_at).total_seconds()
        if self._began is None or not 0 <= gap <= _ATTENTION_SECONDS:
            self._began = now
        self._looked_at = now
        return (now - self._began).total_seconds()


def timing_of(settings: AlertingSettings, rule: AlertRule | None = None) -> AlertTiming:
    """How patient the moves of a rule's alerts are; those from outside are not held."""
    flapping = settings.flapping
    hold, keep = (0.0, 0.0) if rule is None else (rule.hold, rule.keep_firing)
    return AlertTiming(hold, keep, flapping.transitions, flapping.window, flapping.quiet)
