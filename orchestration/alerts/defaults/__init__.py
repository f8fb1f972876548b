"""The default rules: the playbook's symptoms with the playbook's thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.alerts.defaults import machine, security, work
from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import RuleSettings
from orchestration.config.matchers import parse_matchers
from orchestration.config.monitoring import Thresholds
from orchestration.config.schema import Configuration


def rules(configuration: Configuration) -> tuple[AlertRule, ...]:
    """The rules in force: the default ones as the configuration changes them, then the configuration's own."""
    settings = configuration.alerting.rules
    ours = {rule.name: rule for rule in default_rules(configuration.monitoring.thresholds)}
    changed = [rule.replace(**_given(settings[name])) if name in settings else rule for name, rule in ours.items()]
    own = [_own(name, one) for name, one in settings.items() if name not in ours]
    off = {name for name, one in settings.items() if not one.enabled}
    return tuple(rule for rule in [*changed, *own] if rule is not None and rule.name not in off)


def default_rules(thresholds: Thresholds) -> Iterator[AlertRule]:
    """All default rules."""
    yield from work.agents(thresholds)
    yield from work.outcomes()
    yield from work.providers()
    yield from work.runs(thresholds)
    yield from machine.resources(thresholds)
    yield from machine.control_plane()
    yield from security.rules()


def _own(name: str, settings: RuleSettings) -> AlertRule | None:
    """A rule of the configuration; None if it is incomplete, which the checks of the configuration report."""
    given = _given(settings)
    whole = {"signal", "scenario", "threshold"} <= set(given)
    return AlertRule(name, **given) if whole else None


def _given(settings: RuleSettings) -> dict[str, Any]:
    named = ((name, getattr(settings, name)) for name in RuleSettings.model_fields if name != "enabled")
    given = {name: value for name, value in named if value is not None}
    return given | {name: parse_matchers(given[name]) for name in ("where", "match") if name in given}
