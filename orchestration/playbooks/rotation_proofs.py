"""When the vendor's refusal of an exposed value ends the duty to rotate it, and when to probe again. Pure.

One refusal is not enough: a vendor whose sign-in is out of order refuses good keys as well, for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus

_LONGEST_WAIT = 3600.0
# Beyond it the wait is the longest in any case.
_MOST_DOUBLINGS = 12
_NEEDED = 2


@dataclass(frozen=True, slots=True)
class RotationWatch:
    """What the probes of one duty have told so far. `due_at` is monotonic; `refusals` are in a row."""

    due_at: float = 0.0
    attempts: int = 0
    refusals: int = 0
    first_refused_at: datetime | None = None
    told: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether the values are refused for good."""
        return self.refusals >= _NEEDED

    def after(self, probe: CredentialProbe, interval: float, monotonic: float, now: datetime) -> RotationWatch:
        """The watch after one more round. A refusal is confirmed after an interval; everything else is asked less and
        less often, and never before the vendor allows."""
        refused = probe.status is CredentialStatus.REFUSED
        doublings = 0 if refused else min(self.attempts, _MOST_DOUBLINGS)
        wait = max(min(_LONGEST_WAIT, interval * 2**doublings), probe.retry_after or 0.0)
        return replace(
            self,
            due_at=monotonic + wait,
            attempts=0 if refused else self.attempts + 1,
            refusals=self.refusals + 1 if refused else 0,
            first_refused_at=(self.first_refused_at or now) if refused else None,
        )


def combined(probes: Sequence[CredentialProbe]) -> CredentialProbe:
    """The answer about several values: refused only if every one of them is."""
    for decisive in (CredentialStatus.ACCEPTED, CredentialStatus.UNKNOWN):
        found = [probe for probe in probes if probe.status is decisive]
        if found:
            waits = [probe.retry_after for probe in probes if probe.retry_after is not None]
            return CredentialProbe(decisive, found[0].evidence, max(waits, default=None))
    return CredentialProbe(CredentialStatus.REFUSED, "; ".join(probe.evidence for probe in probes))
