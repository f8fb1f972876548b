"""Timelines for people: what repeats itself is shown once, with how often and when last. Pure.

The timeline in the database keeps every entry. An incident that is open for days has hundreds that say the same:
promised updates, reminders, a problem that goes and comes back.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestration.incidents.model import TimelineEntry

# Counters, which differ in entries that say the same; and what was seen, which the folded entry shows of its first.
_VARYING = frozenset({"evidence", "failed", "fingerprints", "number"})
# `cleared`, `returned`, `cleared`, … is a pattern of two; nothing longer repeats by itself.
_LONGEST_PATTERN = 2


@dataclass(frozen=True, slots=True)
class FoldedEntry:
    """An entry of a timeline, the first of `count` alike; `last_at` is the time of the last."""

    at: datetime
    kind: str
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)
    count: int = 1
    last_at: datetime | None = None


def fold(entries: Sequence[TimelineEntry]) -> tuple[FoldedEntry, ...]:
    """The timeline, oldest first, with neighbours that repeat a pattern folded into its first occurrence."""
    return tuple(_fold(entries, [_signature(entry) for entry in entries]))


def _fold(entries: Sequence[TimelineEntry], signatures: Sequence[Hashable]) -> Iterator[FoldedEntry]:
    at = 0
    while at < len(entries):
        length, times = _pattern(signatures, at)
        for offset in range(length):
            yield _folded([entries[at + offset + length * number] for number in range(times)])
        at += length * times


def _pattern(signatures: Sequence[Hashable], at: int) -> tuple[int, int]:
    """The shortest pattern that repeats from here on, and how often it occurs."""
    for length in range(1, _LONGEST_PATTERN + 1):
        wanted, times = signatures[at : at + length], 1
        while signatures[at + length * times : at + length * (times + 1)] == wanted:
            times += 1
        if times > 1:
            return length, times
    return 1, 1


def _folded(alike: Sequence[TimelineEntry]) -> FoldedEntry:
    first, last = alike[0], alike[-1]
    return FoldedEntry(first.at, first.kind, first.actor, first.data, len(alike), last.at if len(alike) > 1 else None)


def _signature(entry: TimelineEntry) -> Hashable:
    said = {name: value for name, value in entry.data.items() if name not in _VARYING}
    # Not hashed as it is: the values are JSON, lists and objects among them.
    return entry.kind, entry.actor, repr(sorted(said.items()))
