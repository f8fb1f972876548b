"""An alert and its transitions: pending → firing → resolved, and again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.alerts.fingerprint import group_key
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.duty import DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.incidents.report import OWN_SOURCE, Facts

NO_FACTS = Facts()
REMEDIATION = "remediation"
# As many as `alerting.flapping.transitions` may ask for; an alert that comes and goes for weeks must not grow without
# end.
_MAX_FLIPS = 50


class ConditionState(StrEnum):
    """Whether a condition holds. `unknown`: there is too little data to decide, so nothing changes."""

    HOLDS = "holds"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds, or has held.

    Each occurrence has a new `id`; the `fingerprint` stays the same. `labels` identify the alert, `details` are further
    labels of the latest sample. `since` is when the condition began, by the sender's clock, which may be ahead of ours;
    where nobody knows (`since_known`), when it was first seen. `seen_at` is when it was last observed to hold,
    `clear_since` when it was first observed gone. `flips` are the times at which it last began to fire or was resolved.
    `expires` is the time until which an alert of another system has to be repeated, where its sender says so.
    `unobserved` marks one that ended because nothing was observed any more, which does not show that its condition is
    gone. `duties` are what has to be done before it counts as repaired.
    `sender_group` is the group in which another system has sent it. `storm` is the key of the storm that it has joined,
    if it did; that is decided at `grouped_at`, when it is first to be reported. `ahead` is the number of the delivery
    from which it was taken before its turn: until then, nothing older changes it.
    """

    id: str
    name: str
    fingerprint: str
    status: AlertStatus
    scenario: Scenario
    since: datetime
    seen_at: datetime
    updated_at: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    value: float = 1.0
    subject: str = ""
    title: str = ""
    summary: str = ""
    facts: Facts = NO_FACTS
    evidence: Mapping[str, object] = field(default_factory=dict)
    source: str = OWN_SOURCE
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    clear_since: datetime | None = None
    flips: tuple[datetime, ...] = ()
    flapping: bool = False
    drill: bool = False
    since_known: bool = True
    unobserved: bool = False
    duties: tuple[DutyRequest, ...] = ()
    expires: datetime | None = None
    sender_group: str = ""
    storm: str = ""
    grouped_at: datetime | None = None
    ahead: int = 0

    @property
    def group(self) -> str:
        """The key of the group in which it is reported: that of its storm, or else that of what it is about."""
        return self.storm or self.own_group

    @property
    def own_group(self) -> str:
        """The key of the group of the alerts about the same thing."""
        mapped = self.external and self.scenario is not Scenario.EXTERNAL_ALERT
        return group_key(self.scenario, self.subject, drill=self.drill, external=mapped)

    @property
    def external(self) -> bool:
        """Whether another system sent it."""
        return self.source != OWN_SOURCE

    @property
    def firing(self) -> bool:
        return self.status is AlertStatus.FIRING

    @property
    def resolved(self) -> bool:
        return self.status is AlertStatus.RESOLVED

    @property
    def matchable(self) -> dict[str, str]:
        """The labels that matchers use: details, labels, and `alertname`, `scenario`, `source`, `drill`."""
        whole = {**self.details, **self.labels}
        whole |= {"alertname": self.name, "scenario": self.scenario.value, "source": self.source}
        return {**whole, "drill": "true" if self.drill else "false"}


@dataclass(frozen=True, slots=True)
class AlertObservation:
    """One observation of one condition. `since` is when it began, as far as that is known.

    `unobserved` marks a clear one that rests on the absence of samples alone.
    """

    name: str
    fingerprint: str
    state: ConditionState
    scenario: Scenario
    since: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
    subject: str = ""
    title: str = ""
    summary: str = ""
    facts: Facts = NO_FACTS
    evidence: Mapping[str, object] = field(default_factory=dict)
    source: str = OWN_SOURCE
    drill: bool = False
    since_known: bool = True
    unobserved: bool = False
    duties: tuple[DutyRequest, ...] = ()
    expires: datetime | None = None
    sender_group: str = ""


@dataclass(frozen=True, slots=True)
class AlertTiming:
    """When an alert changes its status: seconds to hold before it fires, seconds to be clear before it is resolved, and
    how many changes within which window make it flapping."""

    hold: float = 0.0
    keep_firing: float = 0.0
    flips: int = 6
    flip_window: float = 3600.0
    quiet: float = 600.0


def advance(
    alert: Alert | None, observation: AlertObservation, timing: AlertTiming, now: datetime, new_id: Callable[[], str]
) -> Alert | None:
    """The alert after an observation of its condition; None if there is none (any more).

    A pending alert whose condition is gone is dropped. If the condition of a resolved one returns, a new alert with a
    new `id` begins, which keeps the flips.
    """
    if observation.state is ConditionState.HOLDS:
        return _advance_holding(alert, observation, timing, now, new_id)
    if alert is None or alert.resolved or observation.state is ConditionState.UNKNOWN:
        return alert
    return None if alert.status is AlertStatus.PENDING else _advance_clear(alert, observation, timing, now)


def is_flapping(flips: tuple[datetime, ...], timing: AlertTiming, now: datetime) -> bool:
    """Whether an alert has changed so often within the window that its next resolution cannot be trusted."""
    begin = now - timedelta(seconds=timing.flip_window)
    return sum(flip >= begin for flip in flips) >= timing.flips


def _advance_holding(
    alert: Alert | None, observation: AlertObservation, timing: AlertTiming, now: datetime, new_id: Callable[[], str]
) -> Alert:
    if alert is None or alert.resolved:
        flips = () if alert is None else alert.flips
        status = AlertStatus.PENDING
        alert = Alert(
            new_id(),
            observation.name,
            observation.fingerprint,
            status,
            observation.scenario,
            observation.since,
            now,
            now,
            flips=flips,
            since_known=observation.since_known,
            # Of its first message: Alertmanager may send one alert along several routes, each in a group of its own.
            sender_group=observation.sender_group,
        )
    alert = replace(
        alert,
        seen_at=now,
        clear_since=None,
        unobserved=False,
        **{name: getattr(observation, name) for name in _COPIED},
        updated_at=now,
    )
    # The sender's clock may be ahead of ours, and ours may have been set back. Without the floor, an alert without a
    # hold would not fire until our clock has caught up.
    held = max(0.0, (now - alert.since).total_seconds())
    if alert.status is AlertStatus.PENDING and held >= timing.hold:
        flips = (*alert.flips, now)[-_MAX_FLIPS:]
        flapping = is_flapping(flips, timing, now)
        return replace(alert, status=AlertStatus.FIRING, starts_at=now, flips=flips, flapping=flapping)
    return alert


def _advance_clear(alert: Alert, observation: AlertObservation, timing: AlertTiming, now: datetime) -> Alert:
    """A firing alert whose condition is gone: resolved, unless that is too recent or the alert is flapping."""
    # Not before it was last seen to hold and not after now, whatever the sender's clock says, and ours, which may have
    # been set back.
    gone = min(now, alert.clear_since or max(observation.since, alert.seen_at))
    quiet = (now - gone).total_seconds()
    marked = replace(alert, clear_since=gone, updated_at=now, unobserved=observation.unobserved)
    if alert.flapping:
        return replace(marked, status=AlertStatus.RESOLVED, ends_at=now) if quiet >= timing.quiet else marked
    if quiet < timing.keep_firing:
        return marked
    flips = (*alert.flips, now)[-_MAX_FLIPS:]
    if is_flapping(flips, timing, now):
        return replace(marked, flips=flips, flapping=True)
    return replace(marked, status=AlertStatus.RESOLVED, ends_at=now, flips=flips)


_COPIED = (
    "labels",
    "details",
    "value",
    "subject",
    "title",
    "summary",
    "facts",
    "evidence",
    "source",
    "drill",
    "duties",
    "expires",
)
