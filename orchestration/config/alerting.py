"""When an observation becomes an alert: changes to the rules, rules of one's own, alerts from outside, heartbeats.

The words of the rules stand here too, since the file uses them.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from orchestration.config.response import TimeZone
from orchestration.config.section import DAY, HOUR, MINUTE, EnvironmentName, Identifier, PositiveSeconds, Section
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.recurrence import RecurrenceRule

Seconds = Annotated[float, Field(ge=0, le=7 * 24 * 3600)]


class Aggregate(StrEnum):
    """What is made of the samples of a window. `share` is of all samples, those that `match`; `rate` is per second;
    `absent` is the age of the newest sample."""

    LAST = "last"
    MAX = "max"
    MIN = "min"
    MEAN = "mean"
    COUNT = "count"
    SUM = "sum"
    RATE = "rate"
    SHARE = "share"
    ABSENT = "absent"


class Comparison(StrEnum):
    """How a value is compared with the threshold for the condition to hold."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUAL = "=="
    UNEQUAL = "!="


class FactKind(StrEnum):
    """What an alert says about how bad things are; the severity is judged by that, never by a text."""

    AGENTS = "agents"
    AGENT = "agent"
    RUN = "run"
    PROVIDER = "provider"
    SLOWNESS = "slowness"
    ERRORS = "errors"
    RESOURCES = "resources"
    DATABASE_DOWN = "database-down"
    CORRUPTION = "corruption"
    DATA_LOSS = "data-loss"
    BREACH = "breach"
    SECRET = "secret"  # noqa: S105 (a word, not a secret)
    SUSPECTED_SECRET = "suspected-secret"  # noqa: S105 (words)
    ACCESS = "access"
    VULNERABILITY = "vulnerability"
    MINOR = "minor"
    NONE = "none"


class RuleSettings(Section):
    """Under the name of one of our rules: what to change in it. Under a new name: a rule of one's own, which needs
    `signal`, `scenario` and `threshold`.

    `where` are matchers of the samples that are looked at, `match` of those that are counted; `by` are the labels
    that tell one alert from another; `last` keeps only so many samples of each. `hold` is how long the condition must
    hold before the alert fires, `keepFiring` how long it must be gone before it is over.
    """

    enabled: bool = True
    # Without a value a field keeps that of the built-in rule; a default here would overwrite it silently.
    signal: Identifier | None = None
    scenario: Scenario | None = None
    aggregate: Aggregate | None = None
    comparison: Comparison | None = None
    threshold: float | None = None
    window: PositiveSeconds | None = None
    hold: Seconds | None = None
    keep_firing: Seconds | None = None
    min_samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
    last: Annotated[int, Field(ge=1, le=100_000)] | None = None
    where: tuple[str, ...] | None = None
    match: tuple[str, ...] | None = None
    by: tuple[Identifier, ...] | None = None
    cleared_by: tuple[Identifier, ...] | None = None
    subject: str | None = None
    facts: FactKind | None = None
    severity: Severity | None = None
    title: str | None = None
    summary: str | None = None


class InhibitionSettings(Section):
    """While an alert that fits `source` fires, and `linger` seconds longer, those that fit `target` are not reported.

    `equal` are labels that must not differ where both have them.
    """

    source: Annotated[tuple[str, ...], Field(min_length=1)]
    target: Annotated[tuple[str, ...], Field(min_length=1)]
    equal: tuple[Identifier, ...] = ()
    # The effects of a source end after it: a rule with a window still sees the old samples for a while.
    linger: Seconds = 5 * MINUTE


class FlappingSettings(Section):
    """An alert that changes this many times within `window` goes on firing, marked, until it was quiet so long."""

    transitions: Annotated[int, Field(ge=3, le=50)] = 6
    window: PositiveSeconds = HOUR
    quiet: PositiveSeconds = 10 * MINUTE


# The words that Prometheus, Alertmanager and other senders use for the same four levels.
_SEVERITIES = MappingProxyType(
    {
        **{severity.value.lower(): severity for severity in Severity},
        "critical": Severity.P0,
        "page": Severity.P1,
        "high": Severity.P1,
        "major": Severity.P1,
        "error": Severity.P1,
        "medium": Severity.P2,
        "minor": Severity.P2,
        "warning": Severity.P2,
        "low": Severity.P3,
        "info": Severity.P3,
        "none": Severity.P3,
    }
)


class IntakeSettings(Section):
    """Alerts from outside, such as those of a Prometheus Alertmanager. Closed until a variable is named here that holds
    a token (sent as `Authorization: Bearer …`) or a secret (with which the body is signed).

    `severities` maps values of the label `severityLabel`, in small letters, and comes before our own map; what neither
    knows is `unknownSeverity`.

    An alert from outside is handed over to people, with its runbook, and changes nothing here. `scenarios` maps names
    of alerts that are about this system to a scenario of ours, `defaultScenario` all others; `allowedActions` names the
    actions that the playbooks of those scenarios may then take. Nothing that a sender writes can do either.
    """

    token_env: EnvironmentName | None = None
    secret_env: EnvironmentName | None = None
    max_bytes: Annotated[int, Field(ge=1024, le=256 * 1024 * 1024)] = 32 * 1024 * 1024
    # Together with the bytes: room for three kilobytes of each, and Alertmanager's own alerts are one kilobyte long.
    max_alerts: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    replay_seconds: PositiveSeconds = 5 * MINUTE
    forget_seconds: PositiveSeconds = 24 * HOUR
    severity_label: str = "severity"
    severities: dict[str, Severity] = Field(default_factory=dict)
    # A sender's unknown word may be its worst one; a page too many is the smaller mistake.
    unknown_severity: Severity = Severity.P1
    scenarios: dict[str, Scenario] = Field(default_factory=dict)
    default_scenario: Scenario = Scenario.EXTERNAL_ALERT
    allowed_actions: tuple[str, ...] = ()

    def scenario(self, name: str) -> Scenario:
        """The scenario of the alerts of this name."""
        return self.scenarios.get(name, self.default_scenario)

    @property
    def maps_to_own(self) -> bool:
        """Whether any alert from outside counts as trouble of this system."""
        return {*self.scenarios.values(), self.default_scenario} != {Scenario.EXTERNAL_ALERT}

    def severity(self, word: str) -> Severity:
        """What a sender's word for the severity means here."""
        # Senders write the same word in different letters, and so do users.
        small = word.strip().lower()
        own = {name.lower(): severity for name, severity in self.severities.items()} if self.severities else {}
        return own.get(small) or _SEVERITIES.get(small, self.unknown_severity)


class StormSettings(Section):
    """How many incidents may come of alerts from outside within `window`: so many of one group of a sender, and so many
    of one sender (`incidentsOfSender`). Further alerts join one incident about the group, a storm. Lesser alerts take
    no place from worse ones."""

    incidents: Annotated[int, Field(ge=1, le=1000)] = 8
    incidents_of_sender: Annotated[int, Field(ge=1, le=10_000)] = 50
    window: PositiveSeconds = 10 * MINUTE


def _of_our_time(moment: datetime) -> datetime:
    # A rule is counted from its start on, so one of the year 1 would take long.
    if not 1970 <= moment.year <= 2200:
        raise ValueError("a time between 1970 and 2200")
    return moment


class MaintenanceWindowSettings(Section):
    """A planned time that comes again and again, in which alerts that match all `matchers` are not reported: `seconds`
    from each time on at which it is due in `timeZone`.

    It is due by a `cron` expression, such as `0 2 * * sun` or, for the first Sunday of a month, `0 2 * * sun#1`; or by
    a rule of RFC 5545 that counts from `start`, as calendars have it: `FREQ=WEEKLY;INTERVAL=2;BYDAY=TU` is every other
    Tuesday, `FREQ=MONTHLY;BYDAY=-1FR` the last Friday of a month. A rule is left out on the `exceptDates`.
    """

    name: Identifier
    matchers: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    cron: str | None = None
    rrule: str | None = None
    start: Annotated[datetime, AfterValidator(_of_our_time)] | None = None
    except_dates: Annotated[tuple[date, ...], Field(max_length=1_000)] = ()
    seconds: Annotated[float, Field(gt=0, le=7 * 24 * HOUR)]
    time_zone: TimeZone = "UTC"
    comment: str = ""

    @property
    def recurrence(self) -> RecurrenceRule | None:
        """The rule with its start as a local time; None for a cron expression."""
        if self.rrule is None or self.start is None:
            return None
        zone = ZoneInfo(self.time_zone)
        local = self.start.astimezone(zone).replace(tzinfo=None) if self.start.tzinfo else self.start
        return RecurrenceRule(self.rrule, local, self.time_zone, frozenset(self.except_dates))

    @property
    def timing(self) -> str:
        """When it is due, as the file says it."""
        if self.rrule is None:
            return self.cron or ""
        return f"{self.rrule} from {self.start:%Y-%m-%d %H:%M}" if self.start else self.rrule


class HeartbeatSettings(Section):
    """Something that has to report that it is alive, at `/heartbeat/NAME`: every `period` seconds, or whenever `cron`
    says in `timeZone`, and `grace` seconds later at most. A job that has reported its start has to succeed within
    `grace`.

    `tokenEnv` names the variable with its token; without it, that of `alerting.intake` counts. `alerts` are matchers:
    an alert of another system that fits all of them is a sign of life, such as Prometheus' Watchdog, and opens no
    incident.
    """

    enabled: bool = True
    period: Annotated[float, Field(gt=0, le=366 * DAY)] | None = None
    cron: str | None = None
    time_zone: TimeZone = "UTC"
    grace: Annotated[float, Field(ge=0, le=31 * DAY)] = 5 * MINUTE
    severity: Severity = Severity.P2
    description: str = ""
    runbook: str | None = None
    token_env: EnvironmentName | None = None
    alerts: tuple[str, ...] = ()


class AlertingSettings(Section):
    """How alerts are made, muted and reported. `repeatSeconds`: an alert that still fires is reported again after that
    time. While its incident is open, that changes nothing and notifies nobody. After its incident has been resolved,
    that reopens it or opens a new one."""

    rules: dict[Identifier, RuleSettings] = Field(default_factory=dict)
    inhibitions: tuple[InhibitionSettings, ...] = ()
    default_inhibitions: bool = True
    flapping: FlappingSettings = FlappingSettings()
    repeat_seconds: PositiveSeconds = 4 * HOUR
    storms: StormSettings = StormSettings()
    intake: IntakeSettings = IntakeSettings()
    maintenance_windows: tuple[MaintenanceWindowSettings, ...] = ()
    heartbeats: dict[Identifier, HeartbeatSettings] = Field(default_factory=dict)

    @property
    def expected_heartbeats(self) -> dict[str, HeartbeatSettings]:
        """Those that are switched on, by name."""
        return {name: settings for name, settings in self.heartbeats.items() if settings.enabled}
