"""How long a run has taken: its own time, and what it spent waiting or stopped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestration.events import Event
from orchestration.events.runs import (
    ApprovalDecided,
    ApprovalRequested,
    RunCancelled,
    RunContinued,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopped,
    RunWaiting,
)
from orchestration.storage.runs import Run

# The events that it is made of.
TIME_KINDS = (
    RunStarted.kind,
    RunWaiting.kind,
    RunContinued.kind,
    RunResumed.kind,
    RunStopped.kind,
    RunCancelled.kind,
    RunFinished.kind,
    ApprovalRequested.kind,
    ApprovalDecided.kind,
)


class TimeUse(StrEnum):
    """What the time of a run goes to."""

    QUEUED = "queued"
    WORKING = "working"
    PEOPLE = "waiting for people"
    PROVIDER = "waiting for a provider"
    STOPPED = "paused or stopped"


@dataclass(frozen=True, slots=True)
class RunTime:
    """Seconds of a run by what they went to."""

    queued: float = 0.0
    working: float = 0.0
    people: float = 0.0
    provider: float = 0.0
    stopped: float = 0.0

    @property
    def others(self) -> tuple[tuple[TimeUse, float], ...]:
        """What went to something else than work, without what is nothing."""
        found = (
            (TimeUse.QUEUED, self.queued),
            (TimeUse.PEOPLE, self.people),
            (TimeUse.PROVIDER, self.provider),
            (TimeUse.STOPPED, self.stopped),
        )
        return tuple((use, seconds) for use, seconds in found if seconds >= 1)


def run_time(run: Run, events: Iterable[Event], now: datetime) -> RunTime:
    """The time of a run until its end or until now, from its events of `TIME_KINDS` in order."""
    spent = dict.fromkeys(TimeUse, 0.0)
    use, since = TimeUse.QUEUED, run.created_at
    if run.started_at is not None:
        spent[use] = _seconds(since, run.started_at)
        use, since = TimeUse.WORKING, run.started_at
    for event in events:
        if event.at < since:
            continue
        spent[use] += _seconds(since, event.at)
        use, since = _use_after(event, use), event.at
    if not run.status.ended:
        spent[use] += _seconds(since, now)
    elif run.finished_at is not None and use is TimeUse.WORKING:
        # Its last event is not on the timeline yet, or was lost with its process.
        spent[use] += _seconds(since, run.finished_at)
    return RunTime(*(spent[each] for each in TimeUse))


def _use_after(event: Event, use: TimeUse) -> TimeUse:
    match event.payload:
        case ApprovalRequested():
            return TimeUse.PEOPLE
        case RunWaiting():
            return TimeUse.PROVIDER
        case RunStopped() | RunCancelled() | RunFinished():
            return TimeUse.STOPPED
        case RunStarted() | RunContinued() | RunResumed() | ApprovalDecided():
            return TimeUse.WORKING
    return use


def _seconds(since: datetime, until: datetime) -> float:
    # Never negative: the clocks of several hosts differ.
    return max(0.0, (until - since).total_seconds())
