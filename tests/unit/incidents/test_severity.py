"""Severity by the playbook's table, from facts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts
from orchestration.incidents.severity import SeverityReason, assess, worst

FACTS = st.builds(
    Facts,
    agents_failing=st.integers(0, 5),
    agents_total=st.integers(0, 5),
    failure_rate=st.none() | st.floats(0, 1),
    latency_ratio=st.none() | st.floats(0, 10),
    providers_down=st.integers(0, 3),
    providers_usable=st.none() | st.integers(0, 3),
    runs_affected=st.integers(0, 3),
    database_unreachable=st.booleans(),
    corruption=st.booleans(),
    data_loss=st.booleans(),
    breach=st.booleans(),
    secret_exposed=st.booleans(),
    secret_suspected=st.booleans(),
    access_refused=st.booleans(),
    vulnerability=st.booleans(),
    resource_exhausted=st.booleans(),
    declared=st.none() | st.sampled_from(Severity),
)


@pytest.mark.parametrize(
    ("facts", "severity", "reason"),
    [
        (Facts(agents_failing=3, agents_total=3), Severity.P0, SeverityReason.ALL_AGENTS_DOWN),
        (Facts(agents_failing=1, agents_total=1), Severity.P0, SeverityReason.ALL_AGENTS_DOWN),
        (Facts(corruption=True), Severity.P0, SeverityReason.CORRUPTION),
        (Facts(data_loss=True), Severity.P0, SeverityReason.DATA_LOSS),
        (Facts(breach=True), Severity.P0, SeverityReason.BREACH),
        (Facts(database_unreachable=True), Severity.P0, SeverityReason.DATABASE_UNREACHABLE),
        (Facts(agents_failing=2, agents_total=3), Severity.P1, SeverityReason.MANY_AGENTS_FAILING),
        (Facts(agents_failing=2, agents_total=20), Severity.P1, SeverityReason.MANY_AGENTS_FAILING),
        (Facts(agents_failing=1, agents_total=2), Severity.P1, SeverityReason.MANY_AGENTS_FAILING),
        (Facts(failure_rate=0.5), Severity.P1, SeverityReason.HIGH_FAILURE_RATE),
        (Facts(providers_down=1, providers_usable=0), Severity.P1, SeverityReason.PROVIDER_OUTAGE),
        (Facts(providers_down=1), Severity.P1, SeverityReason.PROVIDER_OUTAGE),
        (Facts(latency_ratio=3.0), Severity.P1, SeverityReason.DEGRADATION),
        (Facts(resource_exhausted=True), Severity.P1, SeverityReason.UNRESPONSIVE),
        (Facts(secret_exposed=True), Severity.P1, SeverityReason.SECRET_EXPOSED),
        (Facts(agents_failing=1, agents_total=3), Severity.P2, SeverityReason.ONE_AGENT_FAILING),
        (Facts(failure_rate=0.49), Severity.P2, SeverityReason.ELEVATED_ERRORS),
        (Facts(providers_down=1, providers_usable=1), Severity.P2, SeverityReason.PROVIDER_LOST),
        (Facts(latency_ratio=1.5), Severity.P2, SeverityReason.SLOW),
        (Facts(runs_affected=1), Severity.P2, SeverityReason.RUNS_AFFECTED),
        (Facts(access_refused=True), Severity.P2, SeverityReason.ACCESS_REFUSED),
        (Facts(secret_suspected=True), Severity.P3, SeverityReason.SECRET_SUSPECTED),
        (Facts(vulnerability=True), Severity.P2, SeverityReason.VULNERABILITY),
        (Facts(vulnerability=True, has_workaround=True), Severity.P3, SeverityReason.WORKAROUND),
        (Facts(has_workaround=True), Severity.P3, SeverityReason.WORKAROUND),
        (Facts(agents_failing=1, agents_total=3, has_workaround=True), Severity.P2, SeverityReason.ONE_AGENT_FAILING),
        (Facts(declared=Severity.P3), Severity.P3, SeverityReason.DECLARED),
        (Facts(declared=Severity.P0, failure_rate=0.1), Severity.P0, SeverityReason.DECLARED),
        (Facts(declared=Severity.P3, failure_rate=0.5), Severity.P1, SeverityReason.HIGH_FAILURE_RATE),
        (Facts(), Severity.P2, SeverityReason.UNSURE),
    ],
)
def test_the_table_of_the_playbook(facts: Facts, severity: Severity, reason: SeverityReason) -> None:
    assert assess(Scenario.AGENT_FAILURE, facts) == (severity, reason)


def test_a_security_alert_of_which_nothing_is_known_is_taken_for_worse() -> None:
    assert assess(Scenario.SECURITY_ALERT, Facts()) == (Severity.P1, SeverityReason.UNSURE)


@given(st.sampled_from(Scenario), FACTS, FACTS, st.integers(0, 3), st.integers(0, 3))
def test_more_facts_never_make_it_better(
    scenario: Scenario, one: Facts, other: Facts, usable: int, usable_there: int
) -> None:
    """Of as many agents, and where the state of the fallbacks is known: what was not known was taken for the worse."""
    here = replace(one, agents_total=5, declared=None, providers_usable=usable)
    there = replace(other, agents_total=5, declared=None, providers_usable=usable_there)
    alone, reason = assess(scenario, here)
    assert reason is SeverityReason.UNSURE or not alone.worse_than(assess(scenario, worst(here, there))[0])


@given(FACTS, FACTS)
def test_the_worst_of_two_is_the_same_in_either_order_and_taken_twice(one: Facts, other: Facts) -> None:
    both = worst(one, other)
    assert both == worst(other, one)
    assert worst(both, one) == both


@given(st.sampled_from(Scenario), FACTS, st.sampled_from(Severity))
def test_a_declaration_can_only_make_it_worse_than_the_facts(
    scenario: Scenario, facts: Facts, declared: Severity
) -> None:
    plain, reason = assess(scenario, replace(facts, declared=None))
    severity, _ = assess(scenario, replace(facts, declared=declared))
    assert reason is SeverityReason.UNSURE or not plain.worse_than(severity)
