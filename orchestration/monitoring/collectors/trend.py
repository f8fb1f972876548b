"""Whether something grows, told from noisy measurements. Pure.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968): up to 29 % of the points may
be wild without moving it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

Point = tuple[float, float]

_ENOUGH = 8
_MOST = 60
# A leak grows most of the time; a cache that fills or a garbage collector's saw-tooth does not.
_GROWING_SHARE = 0.7


def slope(points: Sequence[Point]) -> float | None:
    """Units in a second; None for fewer than two moments. Of many points the newest sixty are looked at."""
    chosen = points[-_MOST:]
    slopes = [
        (y2 - y1) / (x2 - x1) for number, (x1, y1) in enumerate(chosen) for x2, y2 in chosen[number + 1 :] if x2 != x1
    ]
    return median(slopes) if slopes else None


def suspect_leak(points: Sequence[Point], *, per_second: float, seconds: float) -> bool:
    """Whether it grows by at least `per_second`, over at least `seconds`, and steadily."""
    chosen = points[-_MOST:]
    if len(chosen) < _ENOUGH or chosen[-1][0] - chosen[0][0] < seconds:
        return False
    rises = [after[1] - before[1] for before, after in pairwise(chosen)]
    growing = sum(rise > 0 for rise in rises) >= _GROWING_SHARE * len(rises)
    found = slope(chosen)
    return growing and found is not None and found >= per_second
