"""Inhibition: a consequence of an alert that is known already is not reported by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.alerts.model import Alert
from orchestration.config.alerting import AlertingSettings
from orchestration.config.matchers import Matcher, all_fit, parse_matchers

_NAME = "alertname"


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that matches `source` fires, those that match `target` are muted if the `equal` labels agree.

    Targets that began before the source was resolved stay muted for `linger` seconds more: the windows of their rules
    still contain its effects.
    """

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...] = ()
    linger: float = 300.0


def _ours(source: str, *target: str, equal: tuple[str, ...] = (), linger: float = 300.0) -> Inhibition:
    return Inhibition(parse_matchers([f"alertname=~{source}"]), parse_matchers(target), equal, linger)


_FOLLOWS_FROM_THE_DATABASE = "alertname=~agent.*|run-.*|worker.*|loop-.*|schedule-.*|backup-.*|channel-.*|errors-logged"

# The declared correlations: what is put together with a cause although its subject is another. Nothing else is.
DEFAULTS: tuple[Inhibition, ...] = (
    _ours("database-down", _FOLLOWS_FROM_THE_DATABASE, linger=120),
    # Nothing is lost by muting the sum: the provider's own alert carries the number of usable providers in its facts,
    # and so gets the right severity.
    _ours("provider-down", "alertname=no-provider"),
    _ours("provider-down", "alertname=~provider-(failing|slow|errors)", equal=("provider",), linger=600),
    _ours("provider-down|no-provider", "alertname=~agent-failed|run-failed", "failure=provider", linger=900),
    _ours("no-provider", "alertname=~agents-failing|run-.*", linger=900),
    # The sum of failures that are reported already, each with the number of agents that fail at the same time.
    _ours("agent-failed", "alertname=agents-failing", linger=600),
    _ours("provider-failing", "alertname=provider-errors", equal=("provider",), linger=600),
    _ours("worker-lost", "alertname=~run-(stalled|overdue)", equal=("run",), linger=60),
    _ours("workers-crashing", "alertname=worker-lost"),
    _ours("run-stalled", "alertname=run-overdue", equal=("run",)),
    _ours("agent-unplaced", "alertname=~run-(stalled|overdue)", equal=("run",), linger=60),
    _ours("secret-exposed", "alertname=secret-redacted", equal=("kind", "run"), linger=600),
    _ours("loop-silent", "alertname=loop-late", equal=("loop",)),
)


def inhibitions(settings: AlertingSettings) -> tuple[Inhibition, ...]:
    """The inhibitions in force: ours, unless they are switched off, and the configuration's."""
    own = (
        Inhibition(parse_matchers(one.source), parse_matchers(one.target), one.equal, one.linger)
        for one in settings.inhibitions
    )
    return (*(DEFAULTS if settings.default_inhibitions else ()), *own)


def muted(alerts: Sequence[Alert], rules: Sequence[Inhibition], now: datetime) -> dict[str, str]:
    """The ids of the muted alerts, each with the id of the alert that caused it.

    An alert that nothing mutes is a cause; it mutes its consequences, and their consequences in turn. Alerts that only
    mute each other in a circle have no cause, and none of them is muted, so that no problem goes unreported.
    """
    followers: dict[str, set[str]] = {}
    for source, target in _pairs(alerts, rules, now):
        followers.setdefault(source, set()).add(target)
    causes = followers.keys() - set().union(*followers.values())
    result: dict[str, str] = {}
    open_ = [(cause, cause) for cause in sorted(causes, reverse=True)]
    while open_:
        source, cause = open_.pop()
        found = followers.get(source, set()) - result.keys()
        result |= dict.fromkeys(found, cause)
        open_ += [(target, cause) for target in found]
    return result


def _pairs(alerts: Sequence[Alert], rules: Sequence[Inhibition], now: datetime) -> Iterator[tuple[str, str]]:
    by_name: _ByName = {}
    for alert in alerts:
        by_name.setdefault(alert.name, []).append(alert)
    for rule in rules:
        sources = _fitting(by_name, rule.source)
        targets = (
            [(alert, labels) for alert, labels in _fitting(by_name, rule.target) if alert.firing] if sources else []
        )
        for source, labels in sources if targets else ():
            for target, others in targets:
                # A label that one side lacks does not prevent the inhibition. Alertmanager treats a missing label as an
                # empty one there (https://prometheus.io/docs/alerting/latest/configuration/#inhibit_rule), which would
                # separate a cause without the label from all of its consequences.
                same = all(labels[name] == others[name] for name in rule.equal if labels.get(name) and others.get(name))
                if same and source.id != target.id and _in_time(source, target, rule, now):
                    yield source.id, target.id


_ByName = dict[str, list[Alert]]


def _fitting(by_name: _ByName, matchers: Sequence[Matcher]) -> list[tuple[Alert, dict[str, str]]]:
    """The alerts that fit, with their labels."""
    # Most rules name an alert, and ten thousand alerts have a few names only.
    of_names = [matcher for matcher in matchers if matcher.name == _NAME]
    others = [matcher for matcher in matchers if matcher.name != _NAME]
    named = (alert for name, some in by_name.items() if all_fit(of_names, {_NAME: name}) for alert in some)
    return [(alert, labels) for alert in named if all_fit(others, labels := alert.matchable)]


def _in_time(source: Alert, target: Alert, rule: Inhibition, now: datetime) -> bool:
    # A drill must not hide a real failure, nor a real failure the outcome of a drill. Two alerts with one fingerprint
    # are two occurrences of the same problem, not cause and effect.
    if source.drill != target.drill or source.fingerprint == target.fingerprint:
        return False
    if source.firing:
        return True
    ended = source.ends_at
    return ended is not None and target.since <= ended and (now - ended).total_seconds() < rule.linger
