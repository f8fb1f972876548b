"""Rules: how the samples of a window become a verdict. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from orchestration.alerts.model import ConditionState
from orchestration.config.alerting import Aggregate, Comparison, FactKind
from orchestration.config.matchers import Matcher, all_fit
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


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
class SignalSample:
    """One observation in a window. `labels` include scalars of the evidence, so that matchers can see them."""

    at: datetime
    value: float
    labels: Mapping[str, str]
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What a rule says of one series. `counted` are the samples that speak for it, of all `samples`; oldest first."""

    verdict: ConditionState
    value: float
    counted: tuple[SignalSample, ...] = ()
    samples: tuple[SignalSample, ...] = ()


def judge(rule: AlertRule, samples: Sequence[SignalSample], now: datetime, watched: float) -> RuleResult:
    """Judge one series. `samples` are those of the window, oldest first; `watched` says for how many seconds anybody
    has looked at all: what began before that may have been missed, so silence then proves nothing."""
    whole = watched >= rule.window
    if rule.aggregate is Aggregate.ABSENT:
        return _absent(rule, samples, now, watched)
    counted = tuple(sample for sample in samples if all_fit(rule.match, sample.labels))
    if not samples and rule.aggregate not in _EMPTY_IS_ZERO:
        return RuleResult(ConditionState.CLEAR if whole else ConditionState.UNKNOWN, 0.0)
    if samples and len(samples) < rule.min_samples:
        return RuleResult(ConditionState.UNKNOWN, 0.0, counted)
    value = _AGGREGATES[rule.aggregate](samples, counted, rule.window)
    if _COMPARE[rule.comparison](value, rule.threshold):
        verdict = ConditionState.HOLDS if whole or samples else ConditionState.UNKNOWN
        return RuleResult(verdict, value, counted, tuple(samples))
    certain = whole or rule.aggregate not in _EMPTY_IS_ZERO
    return RuleResult(ConditionState.CLEAR if certain else ConditionState.UNKNOWN, value, counted)


def _absent(rule: AlertRule, samples: Sequence[SignalSample], now: datetime, watched: float) -> RuleResult:
    """Silence counts from the newest sample, at most from when anybody began to look."""
    if not samples:
        return RuleResult(ConditionState.UNKNOWN, 0.0)
    age = min((now - samples[-1].at).total_seconds(), watched)
    return RuleResult(
        ConditionState.HOLDS if age >= rule.window else ConditionState.CLEAR, max(age, 0.0), (samples[-1],)
    )


_EMPTY_IS_ZERO = frozenset({Aggregate.COUNT, Aggregate.SUM, Aggregate.RATE})

_Aggregator = Callable[[Sequence[SignalSample], Sequence[SignalSample], float], float]


def _sum(_all: Sequence[SignalSample], counted: Sequence[SignalSample], _window: float) -> float:
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
