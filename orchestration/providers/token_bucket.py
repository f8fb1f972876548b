"""How much is asked of a provider in a minute, and what it says of that itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_HEADROOM = "x-ratelimit-"
_ROUNDING = 1e-6


@dataclass(slots=True)
class TokenBucket:
    """So many units in a minute, and at most a minute's worth at once. Pure: the time is an argument, in seconds."""

    per_minute: float
    filled_at: float = float("-inf")
    level: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a whole unit may be taken; 0 when now."""
        self._fill(now)
        missing = 1.0 - self.level
        return missing / (self.per_minute / 60) if missing > _ROUNDING else 0.0

    def take(self, units: float, now: float) -> None:
        """Take units, more than there are if need be: what a call costs is known only afterwards. Later calls wait."""
        self._fill(now)
        self.level -= units

    def resize(self, per_minute: float, now: float) -> None:
        """Change the rate from now on."""
        self._fill(now)
        self.per_minute = per_minute
        self.level = min(self.level, per_minute)

    def _fill(self, now: float) -> None:
        passed = max(0.0, now - self.filled_at)
        self.level = min(self.per_minute, self.level + passed * self.per_minute / 60)
        self.filled_at = max(self.filled_at, now)


def headroom(headers: Mapping[str, str]) -> dict[str, float]:
    """What a provider says of its own limits, `remaining-tokens` and the like; unknown ones (−1) are left out."""
    found: dict[str, float] = {}
    for name, text in headers.items():
        if name.startswith(_HEADROOM):
            try:
                value = float(text)
            except ValueError:
                continue
            if 0 <= value < float("inf"):
                found[name.removeprefix(_HEADROOM)] = value
    return found
