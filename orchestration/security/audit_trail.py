"""The audit trail as a hash chain: the digest of each line covers the line and the previous digest, so that no line can
be changed, removed or inserted without invalidating all later digests.

The chain alone cannot show that lines are missing at its end: compare its last number and digest with a copy elsewhere
(each is also an event, `audit.written`, in the log).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.security import AuditWritten
from orchestration.storage.audit import AuditRow, AuditTable


@dataclass(frozen=True, slots=True)
class TrailVerdict:
    """The number of intact lines and the digest of the last of them; `broken_at` is the first line that is not
    intact."""

    lines: int
    broken_at: int | None
    digest: str


class AuditTrail:
    """Writes and verifies the audit trail."""

    def __init__(self, table: AuditTable, bus: EventBus, clock: Clock, redact: Callable[[Any], Any]) -> None:
        self.table = table
        self._bus = bus
        self._clock = clock
        self._redact = redact

    def write(self, actor: str, action: str, outcome: str, details: Mapping[str, Any]) -> AuditRow:
        """Append who did what, and its outcome. Blocks."""
        clean = self._redact(dict(details))
        row = AuditRow(0, self._clock.now(), actor[:128], str(self._redact(action))[:255], outcome, clean)
        written = self.table.append(row, seal)
        sealed = AuditWritten(written.action, outcome, written.sequence, written.digest)
        self._bus.publish(sealed, actor=actor)
        return written

    def verify(self) -> TrailVerdict:
        """Verify every line. Blocks."""
        before, count = "", 0
        for row in self.table.iterate():
            if row.sequence != count + 1 or row.digest != seal(before, row):
                return TrailVerdict(count, row.sequence, before)
            before, count = row.digest, count + 1
        return TrailVerdict(count, None, before)

    def problems(self) -> list[str]:
        """What is wrong with the trail, in words; empty if it is intact. Blocks."""
        broken = self.verify().broken_at
        return [] if broken is None else [f"line {broken} of the audit trail was changed after it was written"]


def seal(before: str, row: AuditRow) -> str:
    """The digest of a line after one with the digest `before`. Pure."""
    # A fixed form: the digest must not depend on the order of keys, or on how the database returns text.
    values = [before, row.sequence, row.at.timestamp(), row.actor, row.action, row.outcome, row.details]
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
