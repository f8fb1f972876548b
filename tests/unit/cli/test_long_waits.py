from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orchestration.cli.long_waits import LongWaits
from orchestration.storage.timeline import HeartbeatRow

NOW = datetime(2026, 1, 5, tzinfo=UTC)
READING = HeartbeatRow(
    "r.a", "r", "planner", "asks a model", 0, NOW, "reading", "a/m", 3000, since=NOW, beat_at=NOW
)  # fmt: skip


def test_what_takes_long_is_told_after_ten_seconds_and_then_ever_more_rarely() -> None:
    waits, told = LongWaits(), []
    for second in range(2000):
        now = NOW + timedelta(seconds=second)
        told += [(second, line) for line in waits.lines([replace(READING, beat_at=now)], now)]
    assert [second for second, _ in told] == [10, 20, 40, 80, 160, 320, 640, 1240, 1840]
    assert told[0][1] == "planner: a/m reads about 3,000 tokens of prompt, for 10 s"


def test_another_activity_is_counted_from_its_own_beginning_and_shows_what_was_printed() -> None:
    waits = LongWaits()
    assert list(waits.lines([READING], NOW + timedelta(seconds=9))) == []
    later = NOW + timedelta(seconds=9)
    tool = replace(
        READING, activity="uses run_command", about="pytest", phase="tool", since=later, tail="1\n2 passed\n"
    )
    assert list(waits.lines([tool], NOW + timedelta(seconds=15))) == []
    (line,) = waits.lines([replace(tool, beat_at=later)], later + timedelta(seconds=15))
    assert line == "planner: uses run_command: pytest, for 15 s; no sign of its process for 15 s | 2 passed"
