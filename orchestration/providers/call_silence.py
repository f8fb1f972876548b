"""When a silent call is given up. Pure.

To give a call up costs what it has spent: another provider begins from the start, or the same one reads the prompt
again. So it is given up only when its silence has lasted longer than the work that would be lost, and when several
probes, the more the longer it has worked, were not answered either. Who stops waiting when both are equal has waited at
most twice as long as somebody who had known (the rule of the ski rental,
https://en.wikipedia.org/wiki/Ski_rental_problem). A server whose process uses the processor is at work, whatever it
answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# One unanswered probe is a garbage collection or a busy disk; each has a second try on a connection of its own.
_LEAST_PROBES = 2
_MOST_PROBES = 8
# The pause grows with the silence, so that a long one costs a handful of probes.
_PAUSE_SHARE = 0.125
_LONGEST_PAUSE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class CallSilence:
    """A call that is silent. `spent`: seconds from its beginning to its provider's last sign of life; `lasted`: seconds
    since; `probes`: how many were not answered meanwhile; `works`: whether the server's process has used the processor
    meanwhile, None where that cannot be observed."""

    spent: float
    lasted: float
    probes: int
    works: bool | None = None

    @property
    def probes_needed(self) -> int:
        """How many unanswered probes it takes."""
        return min(_MOST_PROBES, _LEAST_PROBES + int(math.log2(1 + max(0.0, self.spent))))

    @property
    def is_final(self) -> bool:
        """Whether the call is given up."""
        return not self.works and self.probes >= self.probes_needed and self.lasted > self.spent

    @property
    def pause(self) -> float:
        """Seconds until the next probe."""
        return min(_LONGEST_PAUSE_SECONDS, self.lasted * _PAUSE_SHARE)
