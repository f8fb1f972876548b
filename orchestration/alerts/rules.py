"""Rules: how the samples of a window become a verdict. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from orchestration.alerts.model import Verdict
from orchestration.config.alerting import Aggregate, Comparison, FactKind
from orchestration.config.matchers import Matcher, all_fit
from orchestration.config.response import Scenario, Severity


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When observations of one kind are an alert; the fields are those of `config.alerting.RuleSettings`.

    Times are in seconds. `title`, `summary` and `subject` are filled in with {value}, {threshold}, {window} and labels.
    """

    name: str
    signal: str
    scenario: Scenario
    threshold: float
    aggregate: Aggregate = Aggregate.LAST
    comparison: Comparison = Comparison.AT_LEAST
    window: float = 300.0
    hold: float = 0.0
    keep_firing: float = 0.0
    min_samples: int = 1
    last: int | None = None
    where: tuple[Matcher, ...] = ()
    match: tuple[Matcher, ...] = ()
    by: tuple[str, ...] = ()
    cleared_by: tuple[str, ...] = ()
    subject: str = ""
    facts: FactKind = FactKind.NONE
    severity: Severity | None = None
    title: str = "{alertname}"
    summary: str = "{signal} is {value}; the limit is {threshold}"

    @property
    def gathers(self) -> bool:
        """Whether one sample is not enough for it, so that those from before a restart make a difference."""
        if self.aggregate in (Aggregate.COUNT, Aggregate.SUM):
            return self.threshold > 1
        if self.aggregate is Aggregate.RATE:
            return self.threshold * self.window > 1
        return self.min_samples > 1

    def but(self, **changes: Any) -> AlertRule:
        """This rule with other values in some fields."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation in a window. `labels` include scalars of the evidence, so that matchers can see them."""

    at: datetime
    value: float
    labels: Mapping[str, str]
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a rule says of one series. `counted` are the samples that speak for it, of all `samples`; oldest first."""

    verdict: Verdict
    value: float
    counted: tuple[Sample, ...] = ()
    samples: tuple[Sample, ...] = ()


def judge(rule: AlertRule, samples: Sequence[Sample], now: datetime, watched: float) -> Judgement:
    """Judge one series. `samples` are those of the window, oldest first; `watched` says for how many seconds anybody
    has looked at all: what began before that may have been missed, so silence then proves nothing."""
    whole = watched >= rule.window
    if rule.aggregate is Aggregate.ABSENT:
        return _absent(rule, samples, now, watched)
    counted = tuple(sample for sample in samples if all_fit(rule.match, sample.labels))
    if not samples and rule.aggregate not in _EMPTY_IS_ZERO:
        return Judgement(Verdict.CLEAR if whole else Verdict.UNKNOWN, 0.0)
    if samples and len(samples) < rule.min_samples:
        return Judgement(Verdict.UNKNOWN, 0.0, counted)
    value = _AGGREGATES[rule.aggregate](samples, counted, rule.window)
    if _COMPARE[rule.comparison](value, rule.threshold):
        verdict = Verdict.HOLDS if whole or samples else Verdict.UNKNOWN
        return Judgement(verdict, value, counted, tuple(samples))
    certain = whole or rule.aggregate not in _EMPTY_IS_ZERO
    return Judgement(Verdict.CLEAR if certain else Verdict.UNKNOWN, value, counted)


def _absent(rule: AlertRule, samples: Sequence[Sample], now: datetime, watched: float) -> Judgement:
    """Silence counts from the newest sample, at most from when anybody began to look."""
    if not samples:
        return Judgement(Verdict.UNKNOWN, 0.0)
    age = min((now - samples[-1].at).total_seconds(), watched)
    return Judgement(Verdict.HOLDS if age >= rule.window else Verdict.CLEAR, max(age, 0.0), (samples[-1],))


_EMPTY_IS_ZERO = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.RATE})

_Aggregator = Callable[[Sequence[Sample], Sequence[Sample], float], float]


def _sum(_all: Sequence[Sample], counted: Sequence[Sample], _window: float) -> float:
    return sum(sample.value for sample in counted)


_AGGREGATES: Mapping[Aggregate, _Aggregator] = MappingProxyType(
    {
        Aggregate.LAST: lambda samples, _, __: samples[-1].value,
        Aggregate.MAX: lambda samples, _, __: max(sample.value for sample in samples),
        Aggregate.MIN: lambda samples, _, __: min(sample.value for sample in samples),
        Aggregate.MEAN: lambda samples, _, __: sum(sample.value for sample in samples) / len(samples),
        Aggregate.COUNT: lambda _, counted, __: float(len(counted)),
        Aggregate.SUM: _sum,
        Aggregate.RATE: lambda samples, counted, window: _sum(samples, counted, window) / window,
        Aggregate.SHARE: lambda samples, counted, _: len(counted) / len(samples),
    }
)

_COMPARE: Mapping[Comparison, Callable[[float, float], bool]] = MappingProxyType(
    {
        Comparison.ABOVE: operator.gt,
        Comparison.AT_LEAST: operator.ge,
        Comparison.BELOW: operator.lt,
        Comparison.AT_MOST: operator.le,
        Comparison.EQUAL: operator.eq,
        Comparison.UNEQUAL: operator.ne,
    }
)
