"""Builders for the usual kinds of rules. Pure."""

from __future__ import annotations

from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import Aggregate, Comparison, FactKind
from orchestration.domain.scenario import Scenario


def counted(name: str, signal: str, scenario: Scenario, *, at_least: float, window: float) -> AlertRule:
    """Fires if something happened at least so often within the window."""
    return AlertRule(name, signal, scenario, at_least, aggregate=Aggregate.COUNT, window=window)


def down(name: str, signal: str, scenario: Scenario, *, window: float) -> AlertRule:
    """Fires if the latest value within the window is 0."""
    return AlertRule(name, signal, scenario, 1.0, comparison=Comparison.BELOW, window=window)


def above(name: str, signal: str, scenario: Scenario, limit: float, *, facts: FactKind = FactKind.NONE) -> AlertRule:
    """Fires if the latest value is above a limit."""
    return AlertRule(name, signal, scenario, limit, comparison=Comparison.ABOVE, facts=facts)
