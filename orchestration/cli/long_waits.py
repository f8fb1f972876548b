"""Lines for a pipe about what takes long: after ten seconds, then ever more rarely. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orchestration.runs.activity_text import activity_seconds, activity_text, lost_seconds, tail_lines
from orchestration.storage.timeline import HeartbeatRow

_FIRST_SECONDS = 10.0
_MOST_SECONDS = 600.0
# The beginning of an activity is computed with each heartbeat, from two clocks that are read one after the other.
_SAME_SECONDS = 1.0
_SHOWN_CHARACTERS = 120


class LongWaits:
    """Remembers what was said of each agent's present activity."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[datetime, float]] = {}

    def lines(self, beats: Iterable[HeartbeatRow], now: datetime) -> Iterator[str]:
        """The lines that are due, of agents at work."""
        for beat in beats:
            waited = activity_seconds(beat, now)
            begun, due = self._due.get(beat.agent_run_id, (now, _FIRST_SECONDS))
            since = now - timedelta(seconds=waited)
            if abs((since - begun).total_seconds()) > _SAME_SECONDS:
                begun, due = since, _FIRST_SECONDS
            if waited >= due:
                yield _line(beat, waited, now)
                due = waited + min(waited, _MOST_SECONDS)
            self._due[beat.agent_run_id] = (begun, due)


def _line(beat: HeartbeatRow, waited: float, now: datetime) -> str:
    lost = lost_seconds(beat, now)
    sign = f"; no sign of its process for {lost:.0f} s" if lost else ""
    tail = "".join(f" | {line.strip()}" for line in tail_lines(beat, 1))[:_SHOWN_CHARACTERS]
    return f"{beat.agent}: {activity_text(beat)}, for {waited:.0f} s{sign}{tail}"
