"""What the plots draw: the work that is left, day by day; the changes that are marked; the time range of an address."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from orchestration.errors import UsageError
from orchestration.events import Event
from orchestration.web.pages.burn_down import ENDED, OPENED, burn_down
from orchestration.web.pages.change_marks import deployments
from orchestration.web.pages.time_range import time_range

NOW = datetime(2026, 3, 10, 15, tzinfo=UTC)
(OPEN, *_), (END, *_) = OPENED, ENDED


def event(kind: str, days_ago: float, **data: Any) -> Event:
    return Event(kind, NOW - timedelta(days=days_ago), data=data)


def test_the_work_that_is_left_is_what_was_opened_and_not_ended() -> None:
    days = burn_down([event(OPEN, 3), event(OPEN, 3), event(END, 1), event(OPEN, 0, drill=True)], NOW, 7)
    assert [(one.day.day, one.left, one.opened, one.ended) for one in days] == [
        (7, 2, 2, 0), (8, 2, 0, 0), (9, 1, 0, 1), (10, 1, 0, 0),
    ]  # fmt: skip


def test_what_ended_without_a_beginning_was_open_when_the_timeline_begins() -> None:
    days = burn_down([event(END, 2), event(END, 1), event(OPEN, 0)], NOW, 7)
    assert [one.left for one in days] == [1, 0, 1]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 400)), max_size=40), st.integers(1, 366))
def test_days_are_complete_in_order_and_their_numbers_agree(kinds: list[tuple[bool, float]], length: int) -> None:
    days = burn_down([event(OPEN if opened else END, ago) for opened, ago in kinds], NOW, length)
    assert 1 <= len(days) <= length
    assert days[-1].day == NOW.date()
    for before, after in pairwise(days):
        assert after.day - before.day == timedelta(days=1)
        assert after.left == before.left + after.opened - after.ended
    assert min(one.left for one in days) >= 0


def test_another_release_than_before_is_a_deployment() -> None:
    started = [
        event("control.started", 9, release="1.0"),
        event("control.started", 8, release="1.0"),
        event("control.started", 7, release="2.0", drill=True),
        event("control.started", 6, release="1.1"),
        event("control.started", 5, release="1.0"),
    ]
    found = [(mark.text, mark.at) for mark in deployments(started)]
    assert found == [("release 1.1, after 1.0", started[3].at), ("release 1.0, after 1.1", started[4].at)]


def asked(query: str) -> Request:
    scope: Mapping[str, Any] = {"type": "http", "query_string": query.encode(), "headers": []}
    return Request(dict(scope))


@pytest.mark.parametrize(
    ("query", "since", "until", "again"),
    [
        ("", None, None, ""),
        ("range=7+d", NOW - timedelta(days=7), None, "range=7+d"),
        ("month=2026-02", datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC), "month=2026-02"),
        ("range=2025-12", datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "month=2025-12"),
    ],
)
def test_the_time_range_of_an_address(query: str, since: datetime | None, until: datetime | None, again: str) -> None:
    found = time_range(asked(query), NOW)
    assert (found.since, found.until, found.query) == (since, until, again)
    assert found.chosen in [value for value, _ in found.choices]


@pytest.mark.parametrize("query", ["range=8+d", "month=2026-13", "month=x", "range=20-3", "month=9999-12x"])
def test_an_odd_time_range_is_refused_with_what_there_is(query: str) -> None:
    with pytest.raises(UsageError, match="There is no"):
        time_range(asked(query), NOW)
