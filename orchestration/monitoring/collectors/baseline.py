"""How a route does now against how it usually does. Pure: time is an argument.

The median of the last minutes is compared with the median of the hours before: no single call moves it, slow or fast.
Medians rather than means, since latencies have long tails.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

_SHORT_SECONDS = 300.0
_LONG_SECONDS = 24 * 3600.0
_MOST_CALLS = 1000
# Fewer calls than these make a ratio that jumps with each call; a false page at night costs more than a late one.
_ENOUGH_NOW = 5
_ENOUGH_BEFORE = 20
# Below these a difference means nothing: ten milliseconds instead of one is a ratio of ten and no problem at all.
_LEAST_SECONDS = 0.05
_LEAST_FAILURE_RATE = 0.02


@dataclass(slots=True)
class Baseline:
    """The calls of one route: when, how long, and whether they were answered."""

    calls: deque[tuple[float, float, bool]] = field(default_factory=lambda: deque(maxlen=_MOST_CALLS))

    def add(self, at: float, seconds: float, *, ok: bool) -> None:
        """Add a call; `at` is in seconds and never decreases."""
        self.calls.append((at, seconds, ok))

    def latency_ratio(self, now: float) -> float | None:
        """Median latency of answered calls now over that of before; None while there are too few of either."""
        recent, before = self._split(now)
        fast = [seconds for _, seconds, ok in recent if ok]
        usual = [seconds for _, seconds, ok in before if ok]
        if len(fast) < _ENOUGH_NOW or len(usual) < _ENOUGH_BEFORE:
            return None
        return max(median(fast), _LEAST_SECONDS) / max(median(usual), _LEAST_SECONDS)

    def error_rate_ratio(self, now: float) -> float | None:
        """Share of failed calls now over that of before; None while there are too few of either."""
        recent, before = self._split(now)
        if len(recent) < _ENOUGH_NOW or len(before) < _ENOUGH_BEFORE:
            return None
        return max(_failed(recent), _LEAST_FAILURE_RATE) / max(_failed(before), _LEAST_FAILURE_RATE)

    def _split(self, now: float) -> tuple[list[tuple[float, float, bool]], list[tuple[float, float, bool]]]:
        recent = [call for call in self.calls if call[0] > now - _SHORT_SECONDS]
        before = [call for call in self.calls if now - _LONG_SECONDS < call[0] <= now - _SHORT_SECONDS]
        return recent, before


def _failed(calls: list[tuple[float, float, bool]]) -> float:
    return sum(not ok for _, _, ok in calls) / len(calls)
