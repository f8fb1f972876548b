"""An alert, and how it moves: pending → firing → resolved, and again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.alerts.fingerprint import group_key
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.incidents.report import Facts

OWN = "monitoring"
NO_FACTS = Facts()
REMEDIATION = "remediation"
_KEPT_FLIPS = 50


class ConditionState(StrEnum):
    """What a look at a condition says. `unknown`: too little was seen to judge, so nothing changes."""

    HOLDS = "holds"
    CLEAR = "clear"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition that holds, or has held.

    `id` is new each time it begins anew; `fingerprint` stays. `labels` say who it is, `details` are labels of the
    latest sample besides these. `since` is when the condition began; by a sender's clock it may be ahead of ours.
    `seen_at` is when it was last seen to hold, `clear_since` when it was first seen gone. `flips` are the latest times
    at which it began to fire or was resolved.
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
    source: str = OWN
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    clear_since: datetime | None = None
    flips: tuple[datetime, ...] = ()
    flapping: bool = False
    drill: bool = False

    @property
    def group(self) -> str:
        """The group in which it is told."""
        return group_key(self.scenario, self.subject, drill=self.drill)

    @property
    def firing(self) -> bool:
        return self.status is AlertStatus.FIRING

    @property
    def resolved(self) -> bool:
        return self.status is AlertStatus.RESOLVED

    @property
    def matchable(self) -> dict[str, str]:
        """What matchers see: details, labels, and `alertname`, `scenario`, `source`, `drill`."""
        whole = {**self.details, **self.labels}
        whole |= {"alertname": self.name, "scenario": self.scenario.value, "source": self.source}
        return {**whole, "drill": "true" if self.drill else "false"}


@dataclass(frozen=True, slots=True)
class AlertObservation:
    """One look at one condition. `since` is when what was seen began, as far as that is known."""

    name: str
    fingerprint: str
    verdict: ConditionState
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
    source: str = OWN
    drill: bool = False


@dataclass(frozen=True, slots=True)
class AlertTiming:
    """How patient the moves are: seconds to hold before firing, to be clear before it is over, and what flapping is."""

    hold: float = 0.0
    keep_firing: float = 0.0
    flips: int = 6
    flip_window: float = 3600.0
    quiet: float = 600.0


def advance(
    alert: Alert | None, seen: AlertObservation, timing: AlertTiming, now: datetime, new_id: Callable[[], str]
) -> Alert | None:
    """The alert after a look at its condition; None when there is none (any more).

    A pending alert whose condition is gone vanishes. A resolved one whose condition comes back begins anew, under a
    new `id`, and remembers its flips.
    """
    if seen.verdict is ConditionState.HOLDS:
        return _holds(alert, seen, timing, now, new_id)
    if alert is None or alert.resolved or seen.verdict is ConditionState.UNKNOWN:
        return alert
    return None if alert.status is AlertStatus.PENDING else _cleared(alert, seen, timing, now)


def is_flapping(flips: tuple[datetime, ...], timing: AlertTiming, now: datetime) -> bool:
    """Whether an alert has changed too often within the window to be believed when it says that it is over."""
    begin = now - timedelta(seconds=timing.flip_window)
    return sum(flip >= begin for flip in flips) >= timing.flips


def _holds(
    alert: Alert | None, seen: AlertObservation, timing: AlertTiming, now: datetime, new_id: Callable[[], str]
) -> Alert:
    if alert is None or alert.resolved:
        flips = () if alert is None else alert.flips
        status = AlertStatus.PENDING
        alert = Alert(new_id(), seen.name, seen.fingerprint, status, seen.scenario, seen.since, now, now, flips=flips)
    alert = replace(
        alert,
        seen_at=now,
        clear_since=None,
        **{name: getattr(seen, name) for name in _COPIED},
        updated_at=now,
    )
    held = max(0.0, (now - alert.since).total_seconds())
    if alert.status is AlertStatus.PENDING and held >= timing.hold:
        flips = (*alert.flips, now)[-_KEPT_FLIPS:]
        flapping = is_flapping(flips, timing, now)
        return replace(alert, status=AlertStatus.FIRING, starts_at=now, flips=flips, flapping=flapping)
    return alert


def _cleared(alert: Alert, seen: AlertObservation, timing: AlertTiming, now: datetime) -> Alert:
    """A firing alert whose condition is gone: over, unless it was so only just now or keeps coming back."""
    gone = alert.clear_since or min(now, max(seen.since, alert.seen_at))
    quiet = (now - gone).total_seconds()
    marked = replace(alert, clear_since=gone, updated_at=now)
    if alert.flapping:
        return replace(marked, status=AlertStatus.RESOLVED, ends_at=now) if quiet >= timing.quiet else marked
    if quiet < timing.keep_firing:
        return marked
    flips = (*alert.flips, now)[-_KEPT_FLIPS:]
    if is_flapping(flips, timing, now):
        return replace(marked, flips=flips, flapping=True)
    return replace(marked, status=AlertStatus.RESOLVED, ends_at=now, flips=flips)


_COPIED = ("labels", "details", "value", "subject", "title", "summary", "facts", "evidence", "source", "drill")
