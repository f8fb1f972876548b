from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.incidents.folded_timeline import fold
from orchestration.incidents.model import TimelineEntry
from orchestration.incidents.review import entry_text
from tests.support.incidents import NOON

KINDS = st.sampled_from(["cleared", "returned", "noted", "update-sent"])


def timeline(kinds: list[str]) -> list[TimelineEntry]:
    return [
        TimelineEntry(NOON + timedelta(minutes=number), kind, "automation:timer", {"number": number})
        for number, kind in enumerate(kinds)
    ]


def kinds_and_counts(kinds: list[str]) -> list[tuple[str, int]]:
    return [(one.kind, one.count) for one in fold(timeline(kinds))]


@given(st.lists(KINDS, max_size=40))
def test_every_entry_is_counted_once_and_in_order(kinds: list[str]) -> None:
    entries = timeline(kinds)
    folded = fold(entries)
    assert sum(one.count for one in folded) == len(entries)
    assert {kind: kinds.count(kind) for kind in kinds} == {
        kind: sum(one.count for one in folded if one.kind == kind) for kind in kinds
    }
    assert [one.at for one in folded] == sorted(one.at for one in folded)
    assert max((one.last_at or one.at for one in folded), default=None) == (entries[-1].at if entries else None)


def test_what_goes_and_comes_back_is_folded_as_a_pair() -> None:
    assert kinds_and_counts(["detected", *["cleared", "returned"] * 30, "resolved"]) == [
        ("detected", 1),
        ("cleared", 30),
        ("returned", 30),
        ("resolved", 1),
    ]


def test_a_folded_entry_says_how_often_and_when_last() -> None:
    (update,) = fold(timeline(["update-sent"] * 96))
    assert entry_text(update).endswith("(96 times, last 2026-03-03 13:35:00)")


def test_what_says_something_else_is_kept_apart() -> None:
    notes = [TimelineEntry(NOON, "noted", "ada", {"text": text}) for text in ("one", "one", "two")]
    assert [one.count for one in fold(notes)] == [2, 1]
    assert [one.count for one in fold([notes[0], TimelineEntry(NOON, "noted", "ben", {"text": "one"})])] == [1, 1]
