"""Rules about work: agents, runs, and the providers that they need. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestration.alerts.rules import AlertRule
from orchestration.config.alerting import Aggregate, Comparison, FactKind
from orchestration.config.matchers import parse_matchers
from orchestration.config.monitoring import Thresholds
from orchestration.domain.duty import DutyKind, DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity

# A run that was cancelled or stopped on purpose, or that waits for a person, says nothing about the agent's health.
_OVER = ('outcome!~"cancelled|stopped|waiting|limit_reached"',)
_FAILED = ('outcome!~"ok|succeeded"',)
# A run that came to an outcome of its work, wanted or not, has not failed.
_BROKE = ('outcome="failed"',)
# Failures of a call that are not the provider's fault do not count against it.
_OF_THE_PROVIDER = ('outcome!~"cancelled|no_route|bad_request|content_filter|model_missing"',)


def agents(thresholds: Thresholds) -> Iterator[AlertRule]:
    """One incident for each agent and class of failure.

    The short hold gives the signal of a provider that is down the time to arrive first and inhibit these.
    """
    yield AlertRule(
        "agent-failed",
        "agent_finished",
        Scenario.AGENT_FAILURE,
        1.0,
        aggregate=Aggregate.SHARE,
        last=1,
        window=900,
        hold=3,
        where=parse_matchers(_OVER),
        match=parse_matchers(_FAILED),
        by=("agent", "failure", "cause"),
        # What an agent failed at is over as soon as it succeeds at anything.
        cleared_by=("agent_succeeded",),
        subject="{cause}",
        facts=FactKind.AGENT,
        title="Agent {agent} fails",
        summary="The last work of {agent} failed: {kind}, {message}",
    )
    yield AlertRule(
        # Over the last ten rather than all of the window: on a busy system the failures of the last minute would
        # otherwise drown in the successes before them.
        "agents-failing",
        "agent_finished",
        Scenario.AGENT_FAILURE,
        thresholds.agent_failure_percent / 100,
        aggregate=Aggregate.SHARE,
        last=10,
        window=600,
        hold=3,
        min_samples=6,
        where=parse_matchers(_OVER),
        match=parse_matchers(_FAILED),
        subject="agents",
        facts=FactKind.AGENTS,
        title="Many agents fail",
        summary="{value} of the last pieces of work that agents finished failed",
    )
    yield _run_failed()


def _run_failed() -> AlertRule:
    return AlertRule(
        "run-failed",
        "run_finished",
        Scenario.AGENT_FAILURE,
        1.0,
        aggregate=Aggregate.SHARE,
        last=1,
        window=900,
        hold=3,
        where=parse_matchers(_OVER),
        match=parse_matchers(_BROKE),
        by=("run",),
        subject="{cause}",
        facts=FactKind.RUN,
        # Also when the next run succeeds: this one's goal was not reached.
        duties=(
            DutyRequest(
                DutyKind.RECOVER_RUN, "{run}", "resume {run} until it succeeds, or decide that it need not be finished"
            ),
        ),
        title="Run {run} failed",
        summary="{run} ended without its goal: {reason}",
    )


def outcomes() -> Iterator[AlertRule]:
    """That work is refused is an outcome, and no incident. That much of it is may be worth a look."""
    yield AlertRule(
        # Of twenty, and only from ten on: one refused run says nothing, and half of few is no share.
        "work-not-approved",
        "run_judged",
        Scenario.AGENT_FAILURE,
        0.5,
        aggregate=Aggregate.SHARE,
        last=20,
        window=86_400,
        min_samples=10,
        match=parse_matchers(_FAILED),
        by=("agent",),
        subject="{agent}: work not approved",
        facts=FactKind.MINOR,
        title="Much of the work of {agent} is not approved",
        summary="{value} of the last runs of {agent} were not approved or not completed, the last: {reason}",
    )


def providers() -> Iterator[AlertRule]:
    """A provider that is down is reported at once; that one is slow or fails often takes a while to establish."""
    yield AlertRule(
        "provider-down",
        "provider_up",
        Scenario.PROVIDER_UNAVAILABLE,
        1.0,
        comparison=Comparison.BELOW,
        window=600,
        by=("provider",),
        # One that was retired never answers again.
        cleared_by=("provider_left",),
        subject="{provider}",
        facts=FactKind.PROVIDER,
        title="Provider {provider} is unavailable",
        summary="{provider} does not answer: {reason}, {detail}",
    )
    yield AlertRule(
        "no-provider",
        "providers_usable",
        Scenario.PROVIDER_UNAVAILABLE,
        1.0,
        comparison=Comparison.BELOW,
        hold=3,
        subject="every provider",
        facts=FactKind.PROVIDER,
        title="No provider can be used",
        summary="No member of the fallback chain answers",
    )
    yield AlertRule(
        # At least six calls, so that one failed call of two is not half an outage.
        "provider-failing",
        "model_call",
        Scenario.PROVIDER_UNAVAILABLE,
        0.5,
        aggregate=Aggregate.SHARE,
        min_samples=6,
        hold=15,
        where=parse_matchers(_OF_THE_PROVIDER),
        match=parse_matchers(_FAILED),
        by=("provider",),
        subject="{provider}",
        facts=FactKind.ERRORS,
        title="Calls to {provider} fail",
        summary="{value} of the calls to {provider} in {window} s failed, the last with {outcome}",
    )
    # Between the ratios that make an incident P2 (slow) and P1 (degraded), so that people hear of it before it is P1.
    yield _ratio("provider-slow", "latency_ratio", 2.0, FactKind.SLOWNESS, "is slow", "answers {value} times as slowly")
    yield _ratio(
        "provider-errors", "error_rate_ratio", 3.0, FactKind.ERRORS, "fails often", "fails {value} times as often"
    )


def _ratio(name: str, signal: str, limit: float, facts: FactKind, title: str, summary: str) -> AlertRule:
    return AlertRule(
        name,
        signal,
        Scenario.PROVIDER_UNAVAILABLE,
        limit,
        hold=60,
        keep_firing=60,
        by=("provider", "model"),
        subject="{provider}",
        facts=facts,
        severity=Severity.P2,
        title="Model {model} of {provider} " + title,
        summary="{model} of {provider} " + summary + " as usual",
    )


def runs(thresholds: Thresholds) -> Iterator[AlertRule]:
    """Runs that make no progress, or too little. Their end, for whatever reason, ends the alert."""
    yield AlertRule(
        # No hold: the threshold is an age already, longer than the wait for a first token, which is the longest that a
        # healthy agent is silent.
        "run-stalled",
        "progress_age_seconds",
        Scenario.WORKFLOW_STUCK,
        thresholds.stalled_seconds,
        window=60,
        by=("run", "agent"),
        cleared_by=("run_finished",),
        subject="{run}",
        facts=FactKind.RUN,
        title="Run {run} makes no progress",
        summary="No sign of progress from {who} for {value} s; the last thing it did: {doing}",
    )
    yield AlertRule(
        # Workers are restarted and upgraded one after the other, so that for half a minute there may be none.
        "agent-unplaced",
        "unplaced_seconds",
        Scenario.CONTROL_PLANE,
        60.0,
        window=30,
        # It is reported for as long as it lasts.
        absence_proves=True,
        by=("run", "agent", "label"),
        cleared_by=("run_finished",),
        subject="label {label}",
        facts=FactKind.RUN,
        title="Agent {agent} waits for a worker with the label {label}",
        summary="{agent} of {run} {doing}, for {value} s; start a worker: orchestrator worker --label {label}",
    )
    yield AlertRule(
        "run-overdue",
        "run_overdue_ratio",
        Scenario.WORKFLOW_STUCK,
        2.0,
        comparison=Comparison.ABOVE,
        window=60,
        hold=15,
        by=("run",),
        cleared_by=("run_finished",),
        subject="{run}",
        facts=FactKind.RUN,
        title="Run {run} takes too long",
        summary="It has taken {value} times as long as expected",
    )
