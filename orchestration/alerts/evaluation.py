"""One rule over its window: from samples to observations. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from orchestration.alerts.facts import FactContext, facts_of
from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.model import Alert, AlertObservation, ConditionState
from orchestration.alerts.rules import AlertRule, RuleResult, judge
from orchestration.alerts.text_templates import fill, json_values, number
from orchestration.alerts.window import SeriesKey, SignalSeries, SignalWindow
from orchestration.config.alerting import Aggregate


def observe(
    window: SignalWindow, now: datetime, watched: float, around: FactContext, active: Collection[SeriesKey] = ()
) -> Iterator[AlertObservation]:
    """What the rule sees now: each of its series, and those of the alerts that are `active`."""
    for series in window.series(now, active):
        judgement = judge(window.rule, series.samples, now, float("inf") if series.cleared else watched)
        yield _observation(window.rule, series, judgement, now, around)


def active_series(rule: AlertRule, alerts: Collection[Alert]) -> list[SeriesKey]:
    """The series of a rule's alerts that are not over."""
    return [
        (tuple(sorted(alert.labels.items())), alert.drill)
        for alert in alerts
        if alert.name == rule.name and not alert.resolved
    ]


def identity(rule: AlertRule, key: SeriesKey) -> str:
    """The fingerprint of a series."""
    labels, drill = key
    return fingerprint(rule.name, {**dict(labels), "drill": "true"} if drill else dict(labels))


def _observation(
    rule: AlertRule, series: SignalSeries, judgement: RuleResult, now: datetime, around: FactContext
) -> AlertObservation:
    labels, drill = dict(series.key[0]), series.key[1]
    seen = AlertObservation(
        rule.name, identity(rule, series.key), judgement.verdict, rule.scenario, now, labels, drill=drill
    )
    if judgement.verdict is not ConditionState.HOLDS:
        return seen
    latest = (judgement.counted or series.samples)[-1:] or ()
    details = {name: value for sample in latest for name, value in sample.labels.items() if name not in labels}
    values = _values(rule, judgement) | details | labels
    return AlertObservation(
        rule.name,
        seen.fingerprint,
        judgement.verdict,
        rule.scenario,
        _began(rule, judgement, now),
        labels,
        details,
        judgement.value,
        fill(rule.subject, values),
        fill(rule.title, values),
        fill(rule.summary, values),
        facts_of(rule, judgement, around),
        json_values(latest[0].evidence) if latest else {},
        drill=drill,
    )


def _values(rule: AlertRule, judgement: RuleResult) -> dict[str, str]:
    share = rule.aggregate is Aggregate.SHARE
    return {
        "alertname": rule.name,
        "signal": rule.signal,
        "value": number(judgement.value, share=share),
        "threshold": number(rule.threshold, share=share),
        "window": number(rule.window),
    }


def _began(rule: AlertRule, judgement: RuleResult, now: datetime) -> datetime:
    """When what is seen began. Of what is counted, that is the first; of a mean or a peak nobody knows: now."""
    if rule.aggregate in (Aggregate.MEAN, Aggregate.MAX, Aggregate.MIN, Aggregate.RATE) or not judgement.counted:
        return now
    return min(judgement.counted[0].at, now)
