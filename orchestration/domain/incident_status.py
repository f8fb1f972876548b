"""Where an incident stands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class IncidentStatus(StrEnum):
    """Where the response stands."""

    DETECTED = "detected"
    ACKNOWLEDGED = "acknowledged"
    MITIGATING = "mitigating"
    VERIFYING = "verifying"
    MITIGATED = "mitigated"
    """The impact has stopped, by a workaround or with duties left: not resolved."""
    RESOLVED = "resolved"
    REOPENED = "reopened"
    IN_REVIEW = "in-review"
    CLOSED = "closed"
    CANCELLED = "cancelled"
    MERGED = "merged"
    SUPPRESSED = "suppressed"

    @property
    def is_open(self) -> bool:
        """Whether anything is still to be repaired, as far as is known."""
        return self in _OPEN


_S = IncidentStatus
# Suppressed incidents are open: the problem is still there, it is only not to be reported while maintenance lasts.
_OPEN = frozenset({_S.DETECTED, _S.ACKNOWLEDGED, _S.MITIGATING, _S.VERIFYING, _S.MITIGATED, _S.REOPENED, _S.SUPPRESSED})
_ASIDE = frozenset({_S.CANCELLED, _S.MERGED})
# No status leads to itself: every move is a line of the timeline with its actor, and a repeated request must not write
# a second one.
MOVES: Mapping[IncidentStatus, frozenset[IncidentStatus]] = {
    _S.DETECTED: frozenset({_S.ACKNOWLEDGED, _S.MITIGATING, _S.MITIGATED, _S.RESOLVED, _S.SUPPRESSED}) | _ASIDE,
    _S.REOPENED: frozenset({_S.ACKNOWLEDGED, _S.MITIGATING, _S.MITIGATED, _S.RESOLVED, _S.SUPPRESSED}) | _ASIDE,
    _S.ACKNOWLEDGED: frozenset({_S.MITIGATING, _S.MITIGATED, _S.RESOLVED, _S.SUPPRESSED}) | _ASIDE,
    _S.MITIGATING: frozenset({_S.VERIFYING, _S.MITIGATED, _S.RESOLVED}) | _ASIDE,
    _S.VERIFYING: frozenset({_S.MITIGATING, _S.MITIGATED, _S.RESOLVED}) | _ASIDE,
    # Back to detected when the problem returns in spite of what was done: then it is answered anew.
    _S.MITIGATED: frozenset({_S.DETECTED, _S.MITIGATING, _S.VERIFYING, _S.RESOLVED}) | _ASIDE,
    # Back to detected, since the incident is assessed again when the maintenance window ends.
    _S.SUPPRESSED: frozenset({_S.DETECTED, _S.RESOLVED}) | _ASIDE,
    _S.RESOLVED: frozenset({_S.IN_REVIEW, _S.REOPENED, _S.CLOSED}),
    _S.IN_REVIEW: frozenset({_S.REOPENED, _S.CLOSED}),
    _S.CLOSED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.MERGED: frozenset(),
}
