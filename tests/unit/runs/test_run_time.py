"""How long a run has taken: working, waiting for people or a provider, and stopped are told apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.runs.run_time import TIME_KINDS, RunTime, run_time
from orchestration.storage.runs import Run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = Run("run-1", "mend it", "/work", NOON, RunStatus.RUNNING, started_at=NOON + timedelta(seconds=5))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def events(*found: tuple[float, str]) -> list[Event]:
    return [Event(kind, at(second), "run-1") for second, kind in found]


@pytest.mark.parametrize(
    ("story", "until", "expected"),
    [
        ((), 20, RunTime(queued=5, working=15)),
        (((8, "approval.requested"), (68, "approval.decided")), 70, RunTime(5, working=5, people=60)),
        (((8, "approval.requested"),), 70, RunTime(5, working=3, people=62)),
        (((8, "run.waiting"), (10, "run.waiting"), (28, "run.continued")), 30, RunTime(5, working=5, provider=20)),
        (((8, "run.stopped"), (3608, "run.resumed")), 3610, RunTime(5, working=5, stopped=3600)),
    ],
)
def test_what_is_not_its_own_time_is_told_apart(
    story: tuple[tuple[float, str], ...], until: float, expected: RunTime
) -> None:
    assert run_time(RUN, events(*story), at(until)) == expected


def test_a_run_that_was_cancelled_and_resumed_counts_only_its_work() -> None:
    ended = replace(RUN, status=RunStatus.SUCCEEDED, finished_at=at(1030))
    story = events((10, "run.cancelled"), (1010, "run.resumed"), (1030, "run.finished"))
    assert run_time(ended, story, at(9999)) == RunTime(queued=5, working=25, stopped=1000)


def test_a_run_whose_end_is_not_on_the_timeline_ends_where_its_record_says() -> None:
    ended = replace(RUN, status=RunStatus.FAILED, finished_at=at(30))
    assert run_time(ended, [], at(9999)) == RunTime(queued=5, working=25)


@given(st.lists(st.tuples(st.floats(-5, 500), st.sampled_from(TIME_KINDS)), max_size=20), st.floats(0, 600))
def test_whatever_the_clocks_say_no_time_is_negative_or_counted_twice(
    story: list[tuple[float, str]], until: float
) -> None:
    found = run_time(RUN, events(*sorted(story)), at(until))
    parts = (found.queued, found.working, found.people, found.provider, found.stopped)
    assert min(parts) >= 0
    last = max([until, 5.0, *(second for second, _ in story)])
    assert sum(parts) <= last + 0.001
