"""How bad an incident is."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad it is; a lower number is worse."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"

    @property
    def number(self) -> int:
        """0 for P0, and so on."""
        return int(self.value[1:])

    def worse_than(self, other: Severity) -> bool:
        """Whether this one is the more urgent."""
        # The names sort by urgency, so there is no table of ranks that could disagree with them.
        return self.value < other.value
