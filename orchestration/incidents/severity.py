"""The severity of an incident, from facts and never from a text alone. Pure; source: the playbook's severity levels.

The first rule that holds decides; rules are ordered from the worst down, so that more facts can only make it worse.
Thresholds that the playbook leaves open are named constants below.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts

MAJOR_FAILURE_RATE = 0.5  # the playbook's "50%+ agent failure rate"
DEGRADED_LATENCY = 3.0  # times its own baseline: "performance degradation"
SLOW_LATENCY = 1.5  # times its own baseline: "slow response times"


class SeverityReason(StrEnum):
    """Why a severity was chosen."""

    DATA_LOSS = "data-loss"
    CORRUPTION = "database-corruption"
    BREACH = "security-breach"
    DATABASE_UNREACHABLE = "database-unreachable"
    ALL_AGENTS_DOWN = "all-agents-down"
    MANY_AGENTS_FAILING = "multiple-agents-failing"
    HIGH_FAILURE_RATE = "half-of-the-steps-failing"
    PROVIDER_OUTAGE = "no-provider-usable"
    DEGRADATION = "performance-degradation"
    UNRESPONSIVE = "resource-exhausted"
    SECRET_EXPOSED = "secret-exposed"  # noqa: S105 (a word, not a password)
    SECRET_SUSPECTED = "secret-suspected"  # noqa: S105 (words)
    ONE_AGENT_FAILING = "single-agent-failing"
    ELEVATED_ERRORS = "elevated-errors"
    PROVIDER_LOST = "provider-down-with-fallback"
    SLOW = "slow-responses"
    RUNS_AFFECTED = "runs-affected"
    ACCESS_REFUSED = "access-refused"
    VULNERABILITY = "vulnerable-dependency"
    WORKAROUND = "workaround-available"
    DECLARED = "declared"
    UNSURE = "unsure-so-the-worse"


_Ordered = TypeVar("_Ordered", int, Severity)


def _many_failing(facts: Facts) -> bool:
    """More than one agent, or half of them: the playbook names both."""
    half = facts.agents_total > 0 and facts.agents_failing >= MAJOR_FAILURE_RATE * facts.agents_total
    return facts.agents_failing > 1 or (facts.agents_failing > 0 and half)


_Rule = tuple[Severity, SeverityReason, Callable[[Facts], bool]]
_RULES: tuple[_Rule, ...] = (
    (Severity.P0, SeverityReason.DATA_LOSS, lambda facts: facts.data_loss),
    (Severity.P0, SeverityReason.CORRUPTION, lambda facts: facts.corruption),
    (Severity.P0, SeverityReason.BREACH, lambda facts: facts.breach),
    (Severity.P0, SeverityReason.DATABASE_UNREACHABLE, lambda facts: facts.database_unreachable),
    # A total of 0 means that it is unknown, and must not count as "all of them".
    (Severity.P0, SeverityReason.ALL_AGENTS_DOWN, lambda facts: 0 < facts.agents_total <= facts.agents_failing),
    (Severity.P1, SeverityReason.MANY_AGENTS_FAILING, _many_failing),
    (Severity.P1, SeverityReason.HIGH_FAILURE_RATE, lambda facts: (facts.failure_rate or 0) >= MAJOR_FAILURE_RATE),
    (
        Severity.P1,
        SeverityReason.PROVIDER_OUTAGE,
        lambda facts: facts.providers_down > 0 and not facts.providers_usable,
    ),
    (Severity.P1, SeverityReason.DEGRADATION, lambda facts: (facts.latency_ratio or 0) >= DEGRADED_LATENCY),
    (Severity.P1, SeverityReason.UNRESPONSIVE, lambda facts: facts.resource_exhausted),
    (Severity.P1, SeverityReason.SECRET_EXPOSED, lambda facts: facts.secret_exposed),
    (Severity.P2, SeverityReason.ONE_AGENT_FAILING, lambda facts: facts.agents_failing > 0),
    (Severity.P2, SeverityReason.ELEVATED_ERRORS, lambda facts: (facts.failure_rate or 0) > 0),
    (Severity.P2, SeverityReason.PROVIDER_LOST, lambda facts: facts.providers_down > 0),
    (Severity.P2, SeverityReason.SLOW, lambda facts: (facts.latency_ratio or 0) >= SLOW_LATENCY),
    (Severity.P2, SeverityReason.RUNS_AFFECTED, lambda facts: facts.runs_affected > 0),
    (Severity.P2, SeverityReason.ACCESS_REFUSED, lambda facts: facts.access_refused),
    (Severity.P2, SeverityReason.VULNERABILITY, lambda facts: facts.vulnerability and not facts.has_workaround),
    # Most are values of examples and tests, for which nobody is woken.
    (Severity.P3, SeverityReason.SECRET_SUSPECTED, lambda facts: facts.secret_suspected),
    (Severity.P3, SeverityReason.WORKAROUND, lambda facts: facts.has_workaround),
)


def assess(scenario: Scenario, facts: Facts) -> tuple[Severity, SeverityReason]:
    """The severity, and the reason for it.

    A declared severity can make it worse, never better than the facts; without any fact it decides. Without either it
    is P2, or P1 for a security alert: if unsure, the worse.
    """
    severity, ground = _by_the_facts(scenario, facts)
    if facts.declared is not None and (facts.declared.worse_than(severity) or ground is SeverityReason.UNSURE):
        return facts.declared, SeverityReason.DECLARED
    return severity, ground


def _by_the_facts(scenario: Scenario, facts: Facts) -> tuple[Severity, SeverityReason]:
    for severity, ground, holds in _RULES:
        if holds(facts):
            return severity, ground
    return (Severity.P1 if scenario is Scenario.SECURITY_ALERT else Severity.P2), SeverityReason.UNSURE


def worst(one: Facts, other: Facts) -> Facts:
    """Both combined: the worse of each fact."""
    return Facts(
        agents_failing=max(one.agents_failing, other.agents_failing),
        agents_total=max(one.agents_total, other.agents_total),
        failure_rate=_most(one.failure_rate, other.failure_rate),
        latency_ratio=_most(one.latency_ratio, other.latency_ratio),
        providers_down=max(one.providers_down, other.providers_down),
        providers_usable=_least(one.providers_usable, other.providers_usable),
        runs_affected=max(one.runs_affected, other.runs_affected),
        # A workaround for one of two problems leaves the other without any.
        has_workaround=one.has_workaround and other.has_workaround,
        # The values sort by number, and the lowest number is the worst severity.
        declared=_least(one.declared, other.declared),
        **{name: getattr(one, name) or getattr(other, name) for name in _FLAGS},
    )


_FLAGS = (
    "database_unreachable",
    "corruption",
    "data_loss",
    "breach",
    "secret_exposed",
    "secret_suspected",
    "access_refused",
    "vulnerability",
    "resource_exhausted",
)


def _most(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _least(one: _Ordered | None, other: _Ordered | None) -> _Ordered | None:
    return min((value for value in (one, other) if value is not None), default=None)
