"""The samples of a rule, by series, limited in time and in number. Pure: time comes with the samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.alerts.model import REMEDIATION
from orchestration.alerts.rules import AlertRule, SignalSample
from orchestration.alerts.signal import Signal
from orchestration.alerts.text_templates import storable_text
from orchestration.config.alerting import Aggregate
from orchestration.config.matchers import all_fit

# The labels of a series as sorted pairs, and whether a drill has caused it.
SeriesKey = tuple[tuple[tuple[str, str], ...], bool]

# Far above any real installation; a label with unbounded values must not fill the memory.
MAX_SERIES = 1000
MAX_SAMPLES = 2000
_LONGEST_SCALAR = 200
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SignalSeries:
    """One series. `cleared`: a signal ended it, so that having no samples means that the condition is gone."""

    key: SeriesKey
    samples: tuple[SignalSample, ...]
    cleared: bool = False


class SignalWindow:
    """One rule's samples. Beyond the limits the oldest are dropped, and counted in `dropped`.

    Samples that our own remediation has caused form a series of their own, with `origin` among its labels: they must
    not make an alert of a real problem look like a consequence of the remediation.
    """

    def __init__(self, rule: AlertRule, *, max_series: int = MAX_SERIES, max_samples: int = MAX_SAMPLES) -> None:
        self.rule = rule
        self.dropped = 0
        self._max_series = max_series
        # These aggregates use only the newest sample, so keeping more would cost memory for each series and change
        # nothing.
        wanted = 1 if rule.aggregate in (Aggregate.LAST, Aggregate.ABSENT) else rule.last
        self._max_samples = min(wanted or max_samples, max_samples)
        self._counts_drops = wanted is None
        self._series: dict[SeriesKey, deque[SignalSample]] = {}
        self._clears: deque[Signal] = deque(maxlen=max_series)

    def add(self, signal: Signal) -> None:
        """Add a signal if the rule uses it."""
        if signal.name in self.rule.cleared_by:
            self._clears.append(signal)
        if signal.name != self.rule.signal:
            return
        sample = SignalSample(signal.at, signal.value, _visible(signal), signal.evidence)
        if all_fit(self.rule.where, sample.labels):
            self._append(series_key(self.rule, sample.labels, drill=signal.drill), sample)

    def series(self, now: datetime, expected: Collection[SeriesKey] = ()) -> Iterator[SignalSeries]:
        """Every series, and the `expected` ones even without samples, with the samples of the window, oldest first."""
        absent = self.rule.aggregate is Aggregate.ABSENT
        begin = now - timedelta(seconds=self.rule.window)
        # A clearing signal is used once. What comes after it counts again, as when a run is resumed and stalls a second
        # time.
        clears, self._clears = self._clears, deque(maxlen=self._max_series)
        for key in {**self._series, **dict.fromkeys(expected)}:
            samples = self._series.get(key, deque())
            cleared = max((signal.at for signal in clears if _agree(key, signal)), default=None)
            # Samples up to and including the moment of the clearing signal are about what has ended.
            begin_here = begin if cleared is None else max(begin, cleared + _INSTANT)
            while samples and samples[0].at < begin_here and not (absent and cleared is None):
                samples.popleft()
            if not samples:
                self._series.pop(key, None)
            yield SignalSeries(key, tuple(samples), cleared=cleared is not None and not samples)

    def _append(self, key: SeriesKey, sample: SignalSample) -> None:
        samples = self._series.pop(key, None) or deque(maxlen=self._max_samples)
        if self._counts_drops and len(samples) == self._max_samples:
            self.dropped += 1
        samples.append(sample)
        self._series[key] = samples  # a dictionary keeps its order, so the first series is the least recently used
        if len(self._series) > self._max_series:
            self._series.pop(next(iter(self._series)))
            self.dropped += 1


def _agree(key: SeriesKey, signal: Signal) -> bool:
    """Whether a series and a signal agree on every label that both have, and have at least one in common, unless the
    rule has a single series without labels."""
    # An empty label is one that the signal does not have: the end of a run is that of every agent of it.
    shared = [(name, value) for name, value in key[0] if value and signal.labels.get(name)]
    same = all(storable_text(signal.labels[name]) == value for name, value in shared)
    return (bool(shared) or not key[0]) and same and key[1] == signal.drill


def series_key(rule: AlertRule, labels: Mapping[str, str], *, drill: bool) -> SeriesKey:
    """The series of a rule to which a sample belongs."""
    pairs = [(name, labels.get(name, "")) for name in rule.by]
    if labels.get("origin") == REMEDIATION:
        pairs.append(("origin", REMEDIATION))
    return tuple(sorted(pairs)), drill


def _visible(signal: Signal) -> dict[str, str]:
    scalars = {
        name: str(value).lower() if isinstance(value, bool) else storable_text(value)
        for name, value in signal.evidence.items()
        if isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_SCALAR
    }
    # Labels win over evidence of the same name, which is free text and may hold anything.
    return {**scalars, **{name: storable_text(value) for name, value in signal.labels.items()}}
