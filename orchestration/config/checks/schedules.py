"""Schedules: unique names, valid times and time zones, existing agents. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration

_FIELDS = 5


def check(configuration: Configuration, _environment: CheckEnvironment) -> Iterator[Problem]:
    """Every name is unique; cron expression, time zone and agent are valid."""
    seen: set[str] = set()
    agents = [agent.id for agent in configuration.agents]
    for index, schedule in enumerate(configuration.schedules):
        if schedule.name in seen:
            message = f'there are two schedules "{schedule.name}"'
            yield Problem(FindingCode.DUPLICATE_SCHEDULE, ("schedules", index, "name"), message)
        seen.add(schedule.name)
        if not is_cron(schedule.cron):
            path, expected = ("schedules", index, "cron"), "minute hour day month weekday, such as 0 9 * * mon-fri"
            yield Problem(FindingCode.BAD_CRON, path, f'"{schedule.cron}" is not a cron expression', expected)
        if not is_time_zone(schedule.time_zone):
            path, expected = ("schedules", index, "timeZone"), "a name such as UTC or Europe/Vienna"
            yield Problem(FindingCode.BAD_TIME_ZONE, path, f'there is no time zone "{schedule.time_zone}"', expected)
        if schedule.agent is not None and schedule.agent not in agents:
            path, hint = ("schedules", index, "agent"), suggest(schedule.agent, agents)
            yield Problem(FindingCode.UNKNOWN_AGENT, path, f'there is no agent "{schedule.agent}"', hint=hint)


def is_cron(expression: str) -> bool:
    """Whether the expression is valid for the durable engine, which starts the schedules."""
    from croniter import croniter  # type: ignore[import-untyped]

    # The engine reads a sixth field as seconds, and as the first one; croniter's default is the last.
    return bool(croniter.is_valid(expression, second_at_beginning=True))


def is_possible_cron(cron: str) -> bool:
    """Whether an expression is valid, has no seconds, and is due some day: there is no 30 February."""
    from croniter import CroniterBadDateError, croniter

    # A sixth field is seconds, more often than what uses these expressions is evaluated.
    if len(cron.split()) != _FIELDS or not is_cron(cron):
        return False
    # A day that never comes is valid to croniter until the next time is asked for.
    try:
        croniter(cron, 0.0).get_next()
    except CroniterBadDateError:
        return False
    return True


def is_time_zone(name: str) -> bool:
    """Whether the name is in the time zone database."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # no such zone, a folder of zones (`Europe`), an invalid name
        return False
    return True
