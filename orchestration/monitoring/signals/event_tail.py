"""The events of other processes: read from the timeline, each once, without those of this process."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime

from orchestration.clock import Clock
from orchestration.events import Event
from orchestration.storage.timeline import PROGRESS, Timeline

_MOST = 1000
# Own events that never reach the timeline, because writing them failed, would otherwise stay in memory for good.
_REMEMBERED = 50_000
# A missing number may still appear while its transaction is open; one that was rolled back never does. Sequences of
# PostgreSQL are not transactional: https://www.postgresql.org/docs/current/functions-sequence.html
_GAP_SECONDS = 10.0
_MOST_GAPS = 500

_Key = tuple[str, datetime, str | None, str | None]


class EventTail:
    """Follows the timeline from where it ended at the first read."""

    def __init__(self, timeline: Timeline, clock: Clock) -> None:
        self._timeline = timeline
        self._clock = clock
        self._lock = threading.Lock()
        # Counted, not only remembered: two equal events of one moment are two rows of the timeline.
        self._own: Counter[_Key] = Counter()
        self._last: int | None = None
        self._gaps: dict[int, float] = {}

    def on_own_event(self, event: Event) -> None:
        """Remember an event of this process, which will appear on the timeline too. Safe from any thread."""
        # Progress is stored as heartbeats and never appears on the timeline.
        if event.kind == PROGRESS:
            return
        with self._lock:
            self._own[_key(event)] += 1
            if len(self._own) > _REMEMBERED:
                del self._own[next(iter(self._own))]

    def read(self) -> tuple[Event, ...]:
        """The events of other processes since the last read. Blocks."""
        newest = self._timeline.last_sequence()
        # A restored backup has lower numbers: reading goes on from its last one, or nothing would be read again.
        self._last = newest if self._last is None else min(self._last, newest)
        if self._last == newest and not self._gaps:
            return ()
        rows = self._timeline.list_since(self._last, _MOST)
        late = self._timeline.list_numbered(self._gaps) if self._gaps else ()
        self._last = self._record_gaps(self._last, [number for number, _ in rows], [number for number, _ in late])
        return tuple(event for _, event in (*late, *rows) if not self._is_own(event))

    def _record_gaps(self, last: int, numbers: list[int], arrived: list[int]) -> int:
        """Remember the missing numbers between those that came; returns the newest."""
        now = self._clock.monotonic()
        kept = {number: since for number, since in self._gaps.items() if now - since < _GAP_SECONDS}
        self._gaps = {number: since for number, since in kept.items() if number not in arrived}
        for number in numbers:
            self._gaps |= dict.fromkeys(range(max(last + 1, number - _MOST_GAPS), number), now)
            last = number
        return last

    def _is_own(self, event: Event) -> bool:
        key = _key(event)
        with self._lock:
            if self._own[key] > 0:
                self._own[key] -= 1
                if not self._own[key]:
                    del self._own[key]
                return True
            del self._own[key]
        return False


def _key(event: Event) -> _Key:
    return event.kind, event.at, event.run_id, event.agent
