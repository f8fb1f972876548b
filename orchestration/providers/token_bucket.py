"""Limits per minute: our own for each provider, and the headroom that a provider reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_HEADROOM = "x-ratelimit-"
_ANTHROPICS_HEADROOM = "anthropic-ratelimit-"
# A wait that is computed from the level may end a rounding error too early, and the caller would wait once more for
# nothing.
_ROUNDING = 1e-6


@dataclass(slots=True)
class TokenBucket:
    """A rate limit of so many units per minute, with bursts of a minute's worth. Pure: time is an argument, in
    seconds."""

    per_minute: float
    filled_at: float = float("-inf")
    level: float = 0.0

    def wait(self, now: float) -> float:
        """Seconds until a whole unit is available; 0 if one is now."""
        self._fill(now)
        missing = 1.0 - self.level
        return missing / (self.per_minute / 60) if missing > _ROUNDING else 0.0

    def take(self, units: float, now: float) -> None:
        """Take units, even more than there are: the tokens of a call are known only afterwards. Later calls wait."""
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
    """The provider's own limits from its headers, such as `remaining-tokens`.

    Azure documents the names and sends −1 for a value that it does not know, which is left out here:
    https://learn.microsoft.com/azure/ai-foundry/openai/how-to/quota. Anthropic's end with what others begin with, as in
    `anthropic-ratelimit-tokens-remaining`: https://platform.claude.com/docs/en/api/rate-limits.
    """
    found: dict[str, float] = {}
    for name, text in headers.items():
        if name.startswith(_ANTHROPICS_HEADROOM):
            unit, _, what = name.removeprefix(_ANTHROPICS_HEADROOM).rpartition("-")
            name = f"{_HEADROOM}{what}-{unit}"  # noqa: PLW2901 (the same header by its usual name)
        if name.startswith(_HEADROOM):
            try:
                value = float(text)
            except ValueError:
                continue
            if 0 <= value < float("inf"):
                found[name.removeprefix(_HEADROOM)] = value
    return found
