"""Checks of a configuration with a valid structure: does it make sense, and can it be used here? Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestration.config.checks import (
    access,
    agents,
    alerting,
    directories,
    escalation,
    maintenance,
    providers,
    response,
    revokers,
    schedules,
    workflow,
)
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.problems import Problem
from orchestration.config.schema import Configuration

Check = Callable[[Configuration, CheckEnvironment], Iterator[Problem]]

CHECKS: tuple[Check, ...] = (
    directories.check,
    providers.check_names,
    providers.check_readiness,
    providers.check_fallbacks,
    agents.check,
    workflow.check,
    schedules.check,
    response.check_channels,
    response.check_contacts,
    response.check_rotations,
    response.check_audience,
    response.check_quota_contacts,
    response.check_dashboard,
    escalation.check,
    alerting.check,
    maintenance.check,
    revokers.check,
    access.check_second_factor,
    access.check_oidc,
)


def check(configuration: Configuration, environment: CheckEnvironment) -> list[Problem]:
    """The problems that all checks find."""
    return [problem for each in CHECKS for problem in each(configuration, environment)]
