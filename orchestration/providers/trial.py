"""Calls that try an open route because no other route can answer them: one at a time, and at growing intervals. Pure.

A breaker protects callers from waiting for a provider that is down, while another could answer. Where there is no
other, to refuse every call would be the greater damage: the provider may be failing only now and then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_FIRST_SECONDS = 0.5
# A provider that is back must not be left unused for longer than this.
_LONGEST_SECONDS = 4.0


@dataclass(slots=True)
class TrialPace:
    """The pace of the trials of one route; times are monotonic seconds."""

    in_progress: bool = False
    failures: int = 0
    next_at: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until the next trial may begin; infinity while one is in progress, since its end decides."""
        return math.inf if self.in_progress else max(0.0, self.next_at - now)

    def begin(self) -> None:
        """Count a trial as in progress."""
        self.in_progress = True

    def end(self, now: float, *, answered: bool) -> None:
        """Count a trial as ended. An answer lets the next one begin at once."""
        self.in_progress = False
        self.failures = 0 if answered else self.failures + 1
        pause = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self.failures - 1, 16))
        self.next_at = now if answered else now + pause

    def abandon(self) -> None:
        """Count a trial as never begun: its call was cancelled."""
        self.in_progress = False
