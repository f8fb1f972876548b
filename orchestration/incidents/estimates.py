"""How long incidents of a kind took so far: what can be said about the end of a new one. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class SimilarBy(StrEnum):
    """What the past incidents have in common with this one."""

    PROBLEM = "problem"
    SCENARIO = "scenario"


@dataclass(frozen=True, slots=True)
class PastDurations:
    """The seconds from detection to repair of `n` past incidents of the same kind."""

    n: int
    median: float
    p90: float
    similar_by: SimilarBy

    def expected_at(self, detected_at: datetime, now: datetime) -> datetime | None:
        """When half, or if that is past nine in ten, of such incidents were over; None when even that is past."""
        moments = (detected_at + timedelta(seconds=seconds) for seconds in (self.median, self.p90))
        return next((moment for moment in moments if moment > now), None)


def summarise(seconds: Sequence[float], similar_by: SimilarBy) -> PastDurations | None:
    """The durations summarised; None of none."""
    if not seconds:
        return None
    ranked, n = sorted(seconds), len(seconds)
    median = (ranked[(n - 1) // 2] + ranked[n // 2]) / 2
    # The nearest rank, as in the statistics.
    return PastDurations(n, median, ranked[math.ceil(0.9 * n) - 1], similar_by)
