"""The age of the last backup that was made and verified."""

from __future__ import annotations

from orchestration.alerts.signal import Signal
from orchestration.clock import Clock
from orchestration.events.maintenance import BackupCreated
from orchestration.storage.timeline import Timeline


class BackupWatch:
    """Reads the timeline for `backup.made`. Where there is none yet, the age is counted from when we began to look."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self._timeline = timeline
        self._clock = clock
        self._began = clock.now()

    def collect(self) -> tuple[Signal, ...]:
        """The age now. Blocks."""
        last, now = self._timeline.find_last(BackupCreated.kind), self._clock.now()
        since = last.at if last is not None else self._began
        age = max(0.0, (now - since).total_seconds())
        return (Signal("backup_age_seconds", now, age, {}, {"never": last is None}),)
