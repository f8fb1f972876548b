"""Which signals say something new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestration.alerts.signal import Signal

# More series than any project has; what is forgotten counts as news once.
_MOST_SERIES = 10_000


class RepeatedGauges:
    """Remembers the last value of each gauge, whose collector reports it again and again."""

    def __init__(self, gauges: frozenset[str]) -> None:
        self._gauges = gauges
        self._last: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def has_news(self, signals: Iterable[Signal]) -> bool:
        """Whether any of the signals is an occurrence, or a gauge whose value has changed."""
        # Each one is remembered, so the search must not end at the first that is new.
        return True in {self._is_news(signal) for signal in signals}

    def _is_news(self, signal: Signal) -> bool:
        if signal.name not in self._gauges:
            return True
        series = (signal.name, _sorted(signal.labels))
        if self._last.get(series) == signal.value:
            return False
        if len(self._last) >= _MOST_SERIES:
            self._last.clear()
        self._last[series] = signal.value
        return True


def _sorted(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
