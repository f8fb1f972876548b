"""Alert rules, inhibitions and the intake: valid matchers and templates, complete rules. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import Formatter

from orchestration.config.alerting import HeartbeatSettings, IntakeSettings, MaintenanceWindowSettings, RuleSettings
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.checks.schedules import is_possible_cron
from orchestration.config.document import JsonPath
from orchestration.config.findings import FindingCode
from orchestration.config.matchers import all_fit, parse_matcher, parse_matchers
from orchestration.config.problems import Problem, suggest
from orchestration.config.schema import Configuration
from orchestration.errors import UsageError
from orchestration.recurrence import RecurrenceError, validate

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEEDED = ("signal", "scenario", "threshold")

# The built-in rules. They are defined in `alerts.defaults`, which this package below it may not import; a test
# keeps the two equal.
KNOWN_RULES = frozenset(
    {
        "agent-failed",
        "agent-unplaced",
        "agents-failing",
        "backup-failed",
        "backup-old",
        "channel-down",
        "cpu-high",
        "database-damaged",
        "database-down",
        "disk-low",
        "errors-logged",
        "loop-late",
        "loop-silent",
        "memory-high",
        "no-provider",
        "provider-down",
        "provider-errors",
        "provider-failing",
        "provider-slow",
        "run-failed",
        "work-not-approved",
        "run-overdue",
        "run-stalled",
        "schedule-late",
        "secret-exposed",
        "secret-redacted",
        "secret-suspected",
        "sign-ins-failed",
        "token-revoked",
        "tool-held",
        "tool-refused",
        "tool-server-down",
        "unresponsive",
        "vulnerability",
        "worker-lost",
        "workers-crashing",
    }
)

# The shipped actions that change something; from `playbooks.actions`, and kept equal in the same way.
KNOWN_ACTIONS = frozenset(
    {
        "cleanup.artifacts",
        "cleanup.logs",
        "code.bisect",
        "code.revert",
        "config.last-good",
        "database.backup",
        "database.replay",
        "limit.lower",
        "limit.restore",
        "log.debug",
        "people.do-by-hand",
        "people.redirect",
        "people.remind",
        "process.kill",
        "provider.reset-breaker",
        "provider.quota-text",
        "provider.route",
        "provider.start-ollama",
        "run.cancel",
        "run.fork",
        "run.pause",
        "run.raise-limit",
        "run.recover",
        "run.restart",
        "run.resume-paused",
        "run.resume-waiting",
        "security.isolate",
        "security.quarantine",
        "security.rotate",
        "security.update-command",
        "worker.replace",
    }
)


def check(configuration: Configuration, environment: CheckEnvironment) -> Iterator[Problem]:
    """Check the section `alerting`."""
    settings = configuration.alerting
    for name, rule in settings.rules.items():
        yield from _check_rule(name, rule)
    for index, inhibition in enumerate(settings.inhibitions):
        for key in ("source", "target"):
            yield from _check_matchers(("alerting", "inhibitions", index, key), getattr(inhibition, key))
    yield from _check_windows(settings.maintenance_windows)
    for name, heartbeat in settings.heartbeats.items():
        yield from _check_heartbeat(name, heartbeat, settings.intake, environment)
    yield from _check_allowed_actions(settings.intake)
    for key, variable in (("tokenEnv", settings.intake.token_env), ("secretEnv", settings.intake.secret_env)):
        if variable is not None and variable not in environment.variables:
            message, hint = f"the intake needs {variable}, which is not set", f"Add a line {variable}=… to .env."
            yield Problem(FindingCode.INTAKE_CLOSED, ("alerting", "intake", key), message, hint=hint)


def _check_heartbeat(
    name: str, heartbeat: HeartbeatSettings, intake: IntakeSettings, environment: CheckEnvironment
) -> Iterator[Problem]:
    path: JsonPath = ("alerting", "heartbeats", name)
    if (heartbeat.period is None) == (heartbeat.cron is None):
        message = f"the heartbeat {name} needs a period or a cron expression, and not both"
        hint = 'Write "period": 3600 for once an hour, or "cron": "0 2 * * *" for every night at two.'
        yield Problem(FindingCode.HEARTBEAT_INCOMPLETE, path, message, hint=hint)
    if heartbeat.cron is not None and not is_possible_cron(heartbeat.cron):
        expected = "minute hour day month weekday, such as 0 2 * * *"
        yield Problem(FindingCode.BAD_CRON, (*path, "cron"), f'"{heartbeat.cron}" is not a cron expression', expected)
    yield from _check_matchers((*path, "alerts"), heartbeat.alerts)
    variable = heartbeat.token_env or intake.token_env or intake.secret_env
    if not heartbeat.alerts and (variable is None or variable not in environment.variables):
        message = f"nothing can report the heartbeat {name}: {variable or 'its token'} is not set"
        hint = "Name a variable in its `tokenEnv` or in alerting.intake.tokenEnv, and set it in .env."
        yield Problem(FindingCode.HEARTBEAT_CLOSED, (*path, "tokenEnv"), message, hint=hint)


def _check_allowed_actions(intake: IntakeSettings) -> Iterator[Problem]:
    path: JsonPath = ("alerting", "intake", "allowedActions")
    if intake.allowed_actions and not intake.maps_to_own:
        message = "these actions have no effect: every alert from outside has the scenario external-alert"
        hint = (
            "Map the alerts that are about this system to one of its scenarios in `scenarios`, or remove the actions."
        )
        yield Problem(FindingCode.ALLOWED_ACTIONS_UNUSED, path, message, hint=hint)
    for index, name in enumerate(intake.allowed_actions):
        if name not in KNOWN_ACTIONS:
            message = f"there is no action '{name}' unless an installed package adds it"
            hint = suggest(name, KNOWN_ACTIONS)
            yield Problem(FindingCode.UNKNOWN_ALLOWED_ACTION, (*path, index), message, hint=hint)


def template_error(text: str) -> str:
    """What is wrong with a title or summary; empty if nothing is."""
    try:
        fields = list(Formatter().parse(text))
    except ValueError as error:
        return str(error)
    for _, name, form, conversion in fields:
        # Names of labels only: `str.format` would also read attributes and items of what it is given
        # (https://docs.python.org/3/library/string.html#format-string-syntax).
        if name is not None and (not _FIELD.fullmatch(name) or form or conversion):
            return f"{{{name}}} is not a label name"
    return ""


def _check_rule(name: str, rule: RuleSettings) -> Iterator[Problem]:
    path: JsonPath = ("alerting", "rules", name)
    missing = [key for key in _NEEDED if getattr(rule, key) is None]
    if name not in KNOWN_RULES and missing:
        message = f'"{name}" is not a built-in rule, and a rule of your own needs {", ".join(missing)}'
        yield Problem(FindingCode.RULE_INCOMPLETE, path, message, hint=suggest(name, KNOWN_RULES))
    for key in ("where", "match"):
        yield from _check_matchers((*path, key), getattr(rule, key) or ())
    for key in ("title", "summary", "subject"):
        if problem := template_error(getattr(rule, key) or ""):
            message = f'the {key} of "{name}" is not a valid template: {problem}'
            yield Problem(
                FindingCode.BAD_TEMPLATE, (*path, key), message, "text with labels such as {agent}, and {value}"
            )


def _check_windows(windows: Sequence[MaintenanceWindowSettings]) -> Iterator[Problem]:
    names = [window.name for window in windows]
    for index, window in enumerate(windows):
        path: JsonPath = ("alerting", "maintenanceWindows", index)
        if window.name in names[:index]:
            message = f'there are two maintenance windows "{window.name}"'
            yield Problem(FindingCode.DUPLICATE_WINDOW, (*path, "name"), message)
        yield from _check_timing(window, path)
        problems = list(_check_matchers((*path, "matchers"), window.matchers))
        yield from problems
        if not problems and all_fit(parse_matchers(window.matchers), {}):
            message = f'the maintenance window "{window.name}" would mute every alert'
            yield Problem(FindingCode.BAD_MATCHER, (*path, "matchers"), message, 'a matcher such as host="web-1"')


def _check_timing(window: MaintenanceWindowSettings, path: JsonPath) -> Iterator[Problem]:
    if (window.cron is None) == (window.rrule is None):
        message = f'the maintenance window "{window.name}" needs a cron expression or an rrule, and not both'
        hint = 'Write "cron": "0 2 * * sun", or "rrule": "FREQ=WEEKLY;BYDAY=SU" with a "start".'
        yield Problem(FindingCode.BAD_RECURRENCE, path, message, hint=hint)
    elif window.cron is not None:
        if not is_possible_cron(window.cron):
            expected = "minute hour day month weekday, such as 0 2 * * sun"
            yield Problem(FindingCode.BAD_CRON, (*path, "cron"), f'"{window.cron}" is not a cron expression', expected)
    elif window.recurrence is None:
        message = f'the rule of the maintenance window "{window.name}" has no start to count from'
        yield Problem(FindingCode.BAD_RECURRENCE, path, message, '"start", such as 2026-01-06T22:00')
    else:
        try:
            validate(window.recurrence)
        except RecurrenceError as error:
            message = f'the rule of the maintenance window "{window.name}" cannot be used: {error}'
            yield Problem(FindingCode.BAD_RECURRENCE, (*path, "rrule"), message)


def _check_matchers(path: JsonPath, texts: Sequence[str]) -> Iterator[Problem]:
    for index, text in enumerate(texts):
        try:
            parse_matcher(text)
        except UsageError as error:
            yield Problem(FindingCode.BAD_MATCHER, (*path, index), str(error))
