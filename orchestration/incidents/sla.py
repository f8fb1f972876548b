"""The SLA clock: how soon an incident must be acknowledged and resolved, and whether it is on time. Pure.

It starts at detection. The response target stops at the first acknowledgement by a person, or at the resolution if
there was none; the resolution target stops at the resolution. P0 to P2 run by the wall clock. P3's "next business day",
which no standard defines, is close of business on the first business day strictly after the local date of detection.
The playbook's "less than 15 minutes" is taken at its word: at the deadline itself a target is breached.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.config.response import ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.incidents.calendar import BusinessCalendar


class TargetKind(StrEnum):
    """The two targets."""

    RESPONSE = "response"
    RESOLUTION = "resolution"


class TargetState(StrEnum):
    """The state of a target."""

    ON_TRACK = "on-track"
    AT_RISK = "at-risk"
    BREACHED = "breached"
    MET = "met"


@dataclass(frozen=True, slots=True)
class SlaClock:
    """One record of both targets. `number` counts the reopenings: each of them starts a new record.

    What was reopened soon after its resolution was never repaired. Its resolution target goes on from the first start,
    `resolution_from`, and is counted by the record of that start, whose number is `continues`.
    """

    started_at: datetime
    response_due: datetime
    resolution_due: datetime
    number: int = 0
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    resolution_from: datetime | None = None
    continues: int | None = None

    def start(self, kind: TargetKind) -> datetime:
        """When the target's clock started."""
        return self.resolution_from or self.started_at if kind is TargetKind.RESOLUTION else self.started_at

    def due(self, kind: TargetKind) -> datetime:
        """The deadline."""
        return self.response_due if kind is TargetKind.RESPONSE else self.resolution_due

    def stopped_at(self, kind: TargetKind) -> datetime | None:
        """When the target's clock stopped; None while it runs."""
        if kind is TargetKind.RESOLUTION:
            return self.resolved_at
        # A problem may be over before anybody acknowledges it; there is nothing left to respond to then.
        return self.acknowledged_at or self.resolved_at

    def at_risk_from(self, kind: TargetKind, percent: float) -> datetime:
        """When that share of the time has passed."""
        return self.start(kind) + (self.due(kind) - self.start(kind)) * (percent / 100)

    def state(self, kind: TargetKind, now: datetime, percent: float) -> TargetState:
        """The state of the target at a moment."""
        stopped = self.stopped_at(kind)
        # Asked first: a target that was reached late stays breached.
        if (stopped or now) >= self.due(kind):
            return TargetState.BREACHED
        if stopped is not None:
            return TargetState.MET
        return TargetState.AT_RISK if now >= self.at_risk_from(kind, percent) else TargetState.ON_TRACK


def start(severity: Severity, settings: ResponseSettings, at: datetime, number: int = 0) -> SlaClock:
    """A new record that starts at `at`."""
    target = settings.target(severity)
    return SlaClock(
        started_at=at,
        response_due=_deadline(target.response, settings, at),
        resolution_due=_deadline(target.resolution, settings, at),
        number=number,
    )


def reopen(
    clock: SlaClock, severity: Severity, settings: ResponseSettings, at: datetime, *, continued: bool
) -> SlaClock:
    """The record after a reopening; a `continued` one keeps the start of its resolution target."""
    fresh = start(severity, settings, at, clock.number + 1)
    if not continued:
        return fresh
    began = clock.start(TargetKind.RESOLUTION)
    return replace(
        fresh,
        resolution_due=start(severity, settings, began).resolution_due,
        resolution_from=began,
        continues=clock.number if clock.continues is None else clock.continues,
    )


def recompute(clock: SlaClock, severity: Severity, settings: ResponseSettings) -> SlaClock:
    """The same record for another severity, from the original start."""
    # From the original start: a severity that rises must not buy new time.
    response, resolution = (start(severity, settings, clock.start(kind)) for kind in TargetKind)
    return replace(clock, response_due=response.response_due, resolution_due=resolution.resolution_due)


def _deadline(seconds: float | None, settings: ResponseSettings, at: datetime) -> datetime:
    if seconds is None:
        return BusinessCalendar(settings.business_hours).next_close(at)
    return at + timedelta(seconds=seconds)
