"""The samples that a rule looks at, by series; bounded in time and in number. Pure: time comes with the samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.alerts.model import REMEDIATION
from orchestration.alerts.rules import AlertRule, SignalSample
from orchestration.alerts.signal import Signal
from orchestration.alerts.text_templates import sound
from orchestration.config.alerting import Aggregate
from orchestration.config.matchers import all_fit

# The labels of a series as sorted pairs, and whether a drill has caused it.
SeriesKey = tuple[tuple[tuple[str, str], ...], bool]

MOST_SERIES = 1000
MOST_SAMPLES = 2000
_LONGEST_SCALAR = 200
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SignalSeries:
    """One series as it stands. `cleared`: a signal said that it is over, so that its emptiness is no lack of news."""

    key: SeriesKey
    samples: tuple[SignalSample, ...]
    cleared: bool = False


class SignalWindow:
    """One rule's samples. Beyond the bounds the oldest go, and are counted in `dropped`.

    A series of samples that our own remediation has caused carries `origin` among its labels, so that it stays apart.
    """

    def __init__(self, rule: AlertRule, *, most_series: int = MOST_SERIES, most_samples: int = MOST_SAMPLES) -> None:
        self.rule = rule
        self.dropped = 0
        self._most_series = most_series
        wanted = 1 if rule.aggregate in (Aggregate.LAST, Aggregate.ABSENT) else rule.last
        self._most_samples = min(wanted or most_samples, most_samples)
        self._cut_short = wanted is None
        self._series: dict[SeriesKey, deque[SignalSample]] = {}
        self._clears: deque[Signal] = deque(maxlen=most_series)

    def add(self, signal: Signal) -> None:
        """Take a signal, if it is one that the rule looks at."""
        if signal.name in self.rule.cleared_by:
            self._clears.append(signal)
        if signal.name != self.rule.signal:
            return
        sample = SignalSample(signal.at, signal.value, _visible(signal), signal.evidence)
        if all_fit(self.rule.where, sample.labels):
            self._put(series_key(self.rule, sample.labels, drill=signal.drill), sample)

    def series(self, now: datetime, expected: Collection[SeriesKey] = ()) -> Iterator[SignalSeries]:
        """Every series, and those that are `expected`, with the samples of the window, oldest first."""
        absent = self.rule.aggregate is Aggregate.ABSENT
        begin = now - timedelta(seconds=self.rule.window)
        clears, self._clears = self._clears, deque(maxlen=self._most_series)
        for key in {**self._series, **dict.fromkeys(expected)}:
            samples = self._series.get(key, deque())
            cleared = max((signal.at for signal in clears if _agree(key, signal)), default=None)
            begin_here = begin if cleared is None else max(begin, cleared + _INSTANT)
            while samples and samples[0].at < begin_here and not (absent and cleared is None):
                samples.popleft()
            if not samples:
                self._series.pop(key, None)
            yield SignalSeries(key, tuple(samples), cleared=cleared is not None and not samples)

    def _put(self, key: SeriesKey, sample: SignalSample) -> None:
        samples = self._series.pop(key, None) or deque(maxlen=self._most_samples)
        if self._cut_short and len(samples) == self._most_samples:
            self.dropped += 1
        samples.append(sample)
        self._series[key] = samples  # the one that was used last stands last
        if len(self._series) > self._most_series:
            self._series.pop(next(iter(self._series)))
            self.dropped += 1


def _agree(key: SeriesKey, signal: Signal) -> bool:
    """Whether a series and a signal name the same thing wherever both have a label; one such label there must be."""
    shared = [(name, value) for name, value in key[0] if value and name in signal.labels]
    same = all(sound(signal.labels[name]) == value for name, value in shared)
    return bool(shared) and same and key[1] == signal.drill


def series_key(rule: AlertRule, labels: Mapping[str, str], *, drill: bool) -> SeriesKey:
    """Which of a rule's series a sample belongs to."""
    pairs = [(name, labels.get(name, "")) for name in rule.by]
    if labels.get("origin") == REMEDIATION:
        pairs.append(("origin", REMEDIATION))
    return tuple(sorted(pairs)), drill


def _visible(signal: Signal) -> dict[str, str]:
    scalars = {
        name: str(value).lower() if isinstance(value, bool) else sound(value)
        for name, value in signal.evidence.items()
        if isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_SCALAR
    }
    return {**scalars, **{name: sound(value) for name, value in signal.labels.items()}}
