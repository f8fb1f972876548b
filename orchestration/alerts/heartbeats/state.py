"""Whether a heartbeat is late. Pure.

The signals are those of healthchecks (https://healthchecks.io/docs/http_api/): success, start, failure, exit status. A
job that has started has to succeed within its grace
(https://healthchecks.io/docs/measuring_script_run_time/).

Nothing is late that could not have been heard. While no server listens, a signal may have been lost; where it could
have been the one that was due, the sender gets until its next one. Two of them in a row are not forgiven: a heartbeat
that has stopped would else never be noticed where somebody restarts the server once a day.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.config.alerting import HeartbeatSettings
from orchestration.cron import next_due
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow


class HeartbeatStatus(StrEnum):
    """How a heartbeat is."""

    NEW = "new"
    """Never heard, and not due yet."""
    UP = "up"
    STARTED = "started"
    """Its job runs."""
    LATE = "late"
    FAILED = "failed"

    @property
    def is_down(self) -> bool:
        """Whether somebody has to do something about it."""
        return self in (HeartbeatStatus.LATE, HeartbeatStatus.FAILED)


@dataclass(frozen=True, slots=True)
class HeartbeatJudgement:
    """How a heartbeat is, since when, and by when it has to be heard; None where its expression never comes again."""

    status: HeartbeatStatus
    since: datetime
    due_at: datetime | None
    deadline: datetime | None


def judge(
    row: HeartbeatMonitorRow, settings: HeartbeatSettings, now: datetime, listened_until: datetime
) -> HeartbeatJudgement:
    """How it is. `listened_until` is up to when signals could be heard."""
    base = _base(row, now)
    due, deadline = _due(settings, base, 1), _deadline(row, settings, base)
    if row.failed_at is not None:
        return HeartbeatJudgement(HeartbeatStatus.FAILED, row.failed_at, due, deadline)
    late_since = _late_since(row, due, deadline, min(now, listened_until))
    if late_since is not None:
        return HeartbeatJudgement(HeartbeatStatus.LATE, late_since, due, deadline)
    if row.started_at is not None:
        return HeartbeatJudgement(HeartbeatStatus.STARTED, row.started_at, due, deadline)
    status = HeartbeatStatus.NEW if row.heard_at is None else HeartbeatStatus.UP
    return HeartbeatJudgement(status, base, due, deadline)


def after_gap(
    row: HeartbeatMonitorRow, settings: HeartbeatSettings, start: datetime, end: datetime
) -> HeartbeatMonitorRow:
    """The record after a time in which no server listened."""
    base = _base(row, end)
    lost = max(0.0, (end - max(start, base)).total_seconds())
    unheard = row.unheard_seconds + lost
    matters = lost > 0 and _may_have_lost(row, settings, base, end)
    return replace(row, unheard_seconds=unheard, gap_until=end if matters else row.gap_until)


def _late_since(
    row: HeartbeatMonitorRow, due: datetime | None, deadline: datetime | None, known_until: datetime
) -> datetime | None:
    # What is late stays so until it is heard, also when a further signal may have been lost since.
    if row.down_since is not None and (row.heard_at is None or row.heard_at <= row.down_since):
        return min(due, row.down_since) if due else row.down_since
    if deadline is None or known_until <= deadline:
        return None
    return min(due, deadline) if due else deadline


def _deadline(row: HeartbeatMonitorRow, settings: HeartbeatSettings, base: datetime) -> datetime | None:
    grace = timedelta(seconds=settings.grace)
    first = _due(settings, base, 1)
    deadline = None if first is None else first + grace
    if deadline is not None and row.gap_until is not None:
        following, second = _due(settings, row.gap_until, 1), _due(settings, base, 2)
        # The most that is forgiven: until the second one after the last that was heard, not counting the time in
        # which nobody listened.
        most = deadline if second is None else second + 2 * grace + timedelta(seconds=row.unheard_seconds)
        deadline = max(deadline, most if following is None else min(following + grace, most))
    if row.started_at is not None:
        running = max(row.started_at, row.gap_until or row.started_at) + grace
        deadline = running if deadline is None else min(deadline, running)
    return deadline


def _may_have_lost(row: HeartbeatMonitorRow, settings: HeartbeatSettings, base: datetime, end: datetime) -> bool:
    """Whether the signal that was due could have been sent within a gap that ended then.

    Of a sender that keeps its period, the last signal before the deadline is in the second half of the time until then:
    the one before it is at most a period older. Of one that was never heard nobody knows when it began.
    """
    first = _due(settings, base, 1)
    if first is None:
        return False
    if settings.period is None:
        return end > first
    return row.heard_at is None or end > base + (first - base) / 2


def _due(settings: HeartbeatSettings, after: datetime, number: int) -> datetime | None:
    """The so-many-th time after a moment at which it is due."""
    if settings.period is not None:
        return after + number * timedelta(seconds=settings.period)
    due: datetime | None = after
    for _ in range(number):
        due = next_due(settings.cron, settings.time_zone, due) if due and settings.cron else None
    return due


def _base(row: HeartbeatMonitorRow, now: datetime) -> datetime:
    """From when it counts. A clock that was ahead for a while must not make it count from a time to come."""
    return min(now, row.heard_at or row.configured_at)
