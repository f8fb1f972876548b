"""Alert rules, and how the samples of a window decide whether the condition of a rule holds. Pure."""

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
from orchestration.domain.duty import DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


@dataclass(frozen=True, slots=True)
class AlertRule:
    """When signals of one kind are an alert; the fields are those of `config.alerting.RuleSettings`.

    Times are in seconds. `title`, `summary`, `subject` and the texts of `duties` are filled in with {value},
    {threshold}, {window} and labels. `absence_proves` says whether an empty window shows that the condition is gone: by
    default so for counts, where no event means that it does not happen any more, and not for measured values, where it
    means that nobody measures. `duties` outlive the alert: they are what has to be repaired.
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
    absence_proves: bool | None = None
    duties: tuple[DutyRequest, ...] = ()
    title: str = "{alertname}"
    summary: str = "{signal} is {value}; the limit is {threshold}"

    @property
    def needs_history(self) -> bool:
        """Whether one sample is not enough for the rule to fire, so that samples from before a restart matter."""
        if self.aggregate in (Aggregate.COUNT, Aggregate.SUM):
            return self.threshold > 1
        if self.aggregate is Aggregate.RATE:
            return self.threshold * self.window > 1
        return self.min_samples > 1

    @property
    def ends_by_absence(self) -> bool:
        """Whether an empty window shows that the condition is gone."""
        return self.aggregate in _EMPTY_IS_ZERO if self.absence_proves is None else self.absence_proves

    def replace(self, **changes: Any) -> AlertRule:
        """A copy of the rule with other values in some fields."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class SignalSample:
    """One signal in a window. `labels` include the scalars of its evidence, so that matchers can use them."""

    at: datetime
    value: float
    labels: Mapping[str, str]
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of a rule for one series. `counted` are the `samples` that match the rule; both are oldest first.

    `unobserved` marks a clear one that rests on the absence of samples where that proves nothing.
    """

    state: ConditionState
    value: float
    counted: tuple[SignalSample, ...] = ()
    samples: tuple[SignalSample, ...] = ()
    unobserved: bool = False


def evaluate_rule(rule: AlertRule, samples: Sequence[SignalSample], now: datetime, watched: float) -> RuleResult:
    """Evaluate a rule for one series. `samples` are those of the window, oldest first; `watched` is the time in seconds
    for which signals have been received at all. Within the first window the absence of samples proves nothing."""
    whole = watched >= rule.window
    if rule.aggregate is Aggregate.ABSENT:
        return _absent(rule, samples, now, watched)
    counted = tuple(sample for sample in samples if all_fit(rule.match, sample.labels))
    if not samples and rule.aggregate not in _EMPTY_IS_ZERO:
        state = ConditionState.CLEAR if whole else ConditionState.UNKNOWN
        return RuleResult(state, 0.0, unobserved=not rule.ends_by_absence)
    if samples and len(samples) < rule.min_samples:
        return RuleResult(ConditionState.UNKNOWN, 0.0, counted)
    value = _AGGREGATES[rule.aggregate](samples, counted, rule.window)
    if _COMPARE[rule.comparison](value, rule.threshold):
        # A comparison such as "fewer than 1" holds for an empty window too. That is evidence only if the window was
        # watched in full.
        state = ConditionState.HOLDS if whole or samples else ConditionState.UNKNOWN
        return RuleResult(state, value, counted, tuple(samples))
    # A count can only grow while the window fills up, so a low one proves nothing until then. A measured value is what
    # it is.
    certain = whole or rule.aggregate not in _EMPTY_IS_ZERO
    # A count that fell because its window moved on was not observed to be gone where absence proves nothing.
    unobserved = rule.aggregate in _EMPTY_IS_ZERO and not rule.ends_by_absence
    return RuleResult(
        ConditionState.CLEAR if certain else ConditionState.UNKNOWN, value, counted, unobserved=unobserved
    )


def _absent(rule: AlertRule, samples: Sequence[SignalSample], now: datetime, watched: float) -> RuleResult:
    """The age of the newest sample, but not more than the time for which signals have been received."""
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
