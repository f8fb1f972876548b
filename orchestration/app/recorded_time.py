"""Keeps the time of a process in step with what other processes have recorded."""

from __future__ import annotations

import contextlib

from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock, SystemClock
from orchestration.events import EventBus
from orchestration.events.clock import ClockSetBack
from orchestration.storage.database import Database
from orchestration.storage.recorded_time import latest_recorded

# Clocks of several machines differ by less, and so does what NTP corrects as a rule.
_NOTICED_SECONDS = 10.0


def follow_recorded_time(clock: Clock, database: Database) -> None:
    """Let the clock show no less than what is recorded; without the database it goes on as it is. Blocks."""
    with contextlib.suppress(SQLAlchemyError):
        latest = latest_recorded(database)
        if latest is not None and isinstance(clock, SystemClock):
            clock.advance_to(latest)


class ClockWatch:
    """Publishes once that the machine's clock was set back, until it has caught up."""

    def __init__(self, clock: Clock, bus: EventBus) -> None:
        self._clock = clock
        self._bus = bus
        self._noticed = False

    def check(self) -> None:
        """Compare the clocks."""
        behind = (self._clock.now() - self._clock.wall()).total_seconds()
        if behind >= _NOTICED_SECONDS and not self._noticed:
            self._bus.publish(ClockSetBack(round(behind, 1)))
        self._noticed = behind >= _NOTICED_SECONDS
