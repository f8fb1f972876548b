"""One rule over its window: from samples to observations. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from orchestration.alerts.facts import FactContext, facts_of
from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.model import Alert, AlertObservation, ConditionState
from orchestration.alerts.rules import AlertRule, RuleResult, evaluate_rule
from orchestration.alerts.text_templates import fill, json_values, number
from orchestration.alerts.window import SeriesKey, SignalSeries, SignalWindow
from orchestration.config.alerting import Aggregate


def observe(
    window: SignalWindow, now: datetime, watched: float, context: FactContext, active: Collection[SeriesKey] = ()
) -> Iterator[AlertObservation]:
    """Observe each series of a rule, and the series of its `active` alerts."""
    for series in window.series(now, active):
        # A signal that ends a series is proof, so such a series counts as watched for ever: its emptiness means that
        # the condition is gone, even just after a restart.
        result = evaluate_rule(window.rule, series.samples, now, float("inf") if series.cleared else watched)
        yield _observation(window.rule, series, result, now, context)


def active_series(rule: AlertRule, alerts: Collection[Alert]) -> list[SeriesKey]:
    """The series of a rule's alerts that are not resolved."""
    return [
        (tuple(sorted(alert.labels.items())), alert.drill)
        for alert in alerts
        if alert.name == rule.name and not alert.resolved
    ]


def identity(rule: AlertRule, key: SeriesKey) -> str:
    """The fingerprint of a series."""
    labels, drill = key
    # With the drill in it: otherwise a real failure during a drill of the same fault would be taken for the drill's
    # alert.
    return fingerprint(rule.name, {**dict(labels), "drill": "true"} if drill else dict(labels))


def _observation(
    rule: AlertRule, series: SignalSeries, result: RuleResult, now: datetime, context: FactContext
) -> AlertObservation:
    labels, drill = dict(series.key[0]), series.key[1]
    observation = AlertObservation(
        rule.name,
        identity(rule, series.key),
        result.state,
        rule.scenario,
        now,
        labels,
        drill=drill,
        # A signal that ends a series is an observation of its own.
        unobserved=result.unobserved and not series.cleared,
    )
    if result.state is not ConditionState.HOLDS:
        return observation
    latest = (result.counted or series.samples)[-1:] or ()
    details = {name: value for sample in latest for name, value in sample.labels.items() if name not in labels}
    # Labels last: they identify the alert, so a detail of the same name in some sample must not replace them in the
    # text.
    values = _values(rule, result) | details | labels
    return AlertObservation(
        rule.name,
        observation.fingerprint,
        result.state,
        rule.scenario,
        _began(rule, result, now),
        labels,
        details,
        result.value,
        fill(rule.subject, values),
        fill(rule.title, values),
        fill(rule.summary, values),
        facts_of(rule, result, context),
        json_values(latest[0].evidence) if latest else {},
        drill=drill,
        duties=tuple(
            replace(duty, subject=fill(duty.subject, values), summary=fill(duty.summary, values))
            for duty in rule.duties
        ),
    )


def _values(rule: AlertRule, result: RuleResult) -> dict[str, str]:
    share = rule.aggregate is Aggregate.SHARE
    return {
        "alertname": rule.name,
        "signal": rule.signal,
        "value": number(result.value, share=share),
        "threshold": number(rule.threshold, share=share),
        "window": number(rule.window),
    }


def _began(rule: AlertRule, result: RuleResult, now: datetime) -> datetime:
    """When the condition began: at the first counted sample. For a mean or a peak that is unknown, so it is now."""
    if rule.aggregate in (Aggregate.MEAN, Aggregate.MAX, Aggregate.MIN, Aggregate.RATE) or not result.counted:
        return now
    return min(result.counted[0].at, now)
