"""The pure rules: fingerprints, baselines, slopes, progress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.events import Event
from orchestration.monitoring.collectors.baseline import Baseline
from orchestration.monitoring.collectors.error_fingerprint import fingerprint, normalised
from orchestration.monitoring.collectors.progress import (
    expected_seconds,
    furthest_behind,
    progress_ages,
    seconds_at_work,
)
from orchestration.monitoring.collectors.trend import slope, suspect_leak
from orchestration.storage.timeline import HeartbeatRow

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECONDS = st.floats(min_value=0.06, max_value=500)


# Fingerprints


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("step 3 of 17 failed", "step 12 of 20 failed"),
        ("no answer from http://localhost:11434/api/chat", "no answer from https://x.example/v1/models?a=b"),
        ("cannot read /srv/a/b.txt", "cannot read /srv/other/place.md"),
        ("run run-01k3x9z4m7qwe2 stopped", "run run-01k3x9z4m7qwe9 stopped"),
        ("run-01k3x9z4m7qwe2.executor.s1 stopped", "run-01k3x9z4m7qwe9.planner stopped"),
        ("expected 'a', got 'b c'", "expected 'x y z', got ''"),
        ("object at 0x7f00deadbeef", "object at 0x7f11deadbe01"),
        ("key 123e4567-e89b-12d3-a456-426614174000 lost", "key 00000000-e89b-12d3-a456-426614174999 lost"),
        ("took 1,234.5 s", "took 9 s"),
    ],
)
def test_what_changes_from_one_occurrence_to_the_next_does_not_count(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)
    entry = {"event": "model_call.failed", "message": one}
    assert fingerprint(entry) == fingerprint({**entry, "message": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"event": "a.failed"}, {"event": "b.failed"}),
        ({"event": "a", "message": "no answer"}, {"event": "a", "message": "no room"}),
        ({"event": "a", "exception": "…\nValueError: x"}, {"event": "a", "exception": "…\nTypeError: x"}),
    ],
)
def test_other_words_are_another_error(one: dict[str, str], other: dict[str, str]) -> None:
    assert fingerprint(one) != fingerprint(other)


@given(st.text(alphabet=st.sampled_from("ab3 9/.-'\"`:<>0xfe\n"), max_size=60) | st.text(max_size=60))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once
    assert not any(character.isdecimal() for character in once)


# Baselines


def calls(now: list[tuple[float, bool]], before: list[tuple[float, bool]]) -> Baseline:
    baseline = Baseline()
    for number, (seconds, ok) in enumerate(before):
        baseline.add(1000 + number, seconds, ok=ok)
    for number, (seconds, ok) in enumerate(now):
        baseline.add(9900 + number * 0.1, seconds, ok=ok)
    return baseline


def test_three_times_as_slow_is_a_ratio_of_three() -> None:
    baseline = calls([(3.0, True)] * 5, [(1.0, True)] * 20)
    assert baseline.latency_ratio(10_000) == 3.0
    assert baseline.error_rate_ratio(10_000) == 1.0


def test_half_failing_where_a_tenth_did_is_a_ratio_of_five() -> None:
    baseline = calls([(1.0, True), (1.0, False)] * 5, ([(1.0, True)] * 9 + [(1.0, False)]) * 3)
    assert baseline.error_rate_ratio(10_000) == pytest.approx(5.0)


def test_a_route_that_never_failed_does_not_divide_by_nothing() -> None:
    assert calls([(1.0, False)] * 5, [(1.0, True)] * 20).error_rate_ratio(10_000) == pytest.approx(50.0)


@pytest.mark.parametrize(("recent", "before"), [(4, 100), (100, 19), (0, 0)])
def test_too_few_calls_say_nothing(recent: int, before: int) -> None:
    baseline = calls([(9.0, True)] * recent, [(1.0, True)] * before)
    assert baseline.latency_ratio(10_000) is None
    assert baseline.error_rate_ratio(10_000) is None


def test_calls_of_yesterday_are_forgotten() -> None:
    assert calls([(9.0, True)] * 5, [(1.0, True)] * 20).latency_ratio(10_000 + 25 * 3600) is None


@given(
    st.lists(st.tuples(SECONDS, st.booleans()), min_size=5, max_size=20),
    st.lists(st.tuples(SECONDS, st.booleans()), min_size=20, max_size=40),
)
def test_ratios_are_finite_and_never_negative(now: list[tuple[float, bool]], before: list[tuple[float, bool]]) -> None:
    baseline = calls(now, before)
    for ratio in (baseline.latency_ratio(10_000), baseline.error_rate_ratio(10_000)):
        assert ratio is None or 0 < ratio < 1e6


@given(st.lists(SECONDS, min_size=20, max_size=40), st.floats(min_value=1, max_value=50))
def test_the_unit_of_time_does_not_matter(before: list[float], factor: float) -> None:
    plain = calls([(one, True) for one in before[:5]], [(one, True) for one in before])
    scaled = calls([(one * factor, True) for one in before[:5]], [(one * factor, True) for one in before])
    assert scaled.latency_ratio(10_000) == pytest.approx(plain.latency_ratio(10_000))


# Slopes


@given(st.floats(-1e3, 1e3), st.floats(-1e6, 1e6), st.integers(2, 60))
def test_a_straight_line_has_its_own_slope(rise: float, start: float, count: int) -> None:
    points = [(float(second), start + rise * second) for second in range(count)]
    assert slope(points) == pytest.approx(rise, abs=1e-3)


@given(st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=5))
def test_a_few_wild_points_do_not_move_it(wild: list[float]) -> None:
    points = [(float(second), 10.0 * second) for second in range(40)]
    for number, value in enumerate(wild):
        points[number * 7] = (points[number * 7][0], value)
    found = slope(points)
    assert found is not None
    assert 8 < found < 12


def test_one_moment_has_no_slope() -> None:
    assert slope([(1.0, 5.0), (1.0, 9.0)]) is None


@pytest.mark.parametrize(
    ("sizes", "leaks"),
    [
        ([100 + 10 * number for number in range(20)], True),
        ([100 + 10 * number + (number % 3) for number in range(20)], True),
        ([100.0] * 20, False),
        ([100 + 10 * number for number in range(7)], False),
        ([100 + 100 * (number % 4) for number in range(20)], False),
        ([500.0] + [1000.0] * 19, False),
        ([1000 - 10 * number for number in range(20)], False),
    ],
    ids=["steady", "noisy", "flat", "too few", "saw-tooth", "one jump", "shrinking"],
)
def test_only_what_grows_steadily_is_suspected(sizes: list[float], leaks: bool) -> None:
    points = [(30.0 * number, float(size)) for number, size in enumerate(sizes)]
    assert suspect_leak(points, per_second=0.2, seconds=200) is leaks


# Progress


def happened(kind: str, second: float, agent: str | None = None, task: str = "") -> Event:
    return Event(kind, NOON + timedelta(seconds=second), "run-1", agent, data={"agent_run_id": task} if task else {})


def beat(task: str, agent: str, second: float) -> HeartbeatRow:
    return HeartbeatRow(task, "run-1", agent, "thinks", 1, NOON + timedelta(seconds=second))


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def test_only_agents_at_work_grow_old_and_of_several_tasks_the_oldest_counts() -> None:
    events = [
        happened("agent.started", 0, "planner", "p"),
        happened("agent.finished", 10, "planner", "p"),
        happened("agent.started", 10, "executor", "e1"),
        happened("agent.started", 10, "executor", "e2"),
    ]
    beats = [beat("p", "planner", 9), beat("e1", "executor", 50), beat("e2", "executor", 20)]
    assert progress_ages(events, beats, at(60)) == {"executor": 40.0}


def test_a_run_is_as_far_behind_as_its_last_task_whatever_the_others_do() -> None:
    events = [happened("agent.started", 0, "executor", task) for task in ("e1", "e2")]
    beats = [beat("e1", "executor", 58), HeartbeatRow("e2", "run-1", "executor", "asks a model", 1, at(20))]
    assert furthest_behind(events, beats, at(60)) == (40.0, beats[1])
    over = [*events, *(happened("agent.finished", 59, "executor", task) for task in ("e1", "e2"))]
    assert furthest_behind(over, beats, at(60)) == (1.0, beats[0]), "between two agents the newest sign counts"
    assert furthest_behind(events, [], at(60)) == (60.0, None)
    assert furthest_behind([], [], at(60)) == (0.0, None)


def test_an_agent_that_never_gave_a_sign_is_as_old_as_its_start() -> None:
    assert progress_ages([happened("agent.started", 5, "planner", "p")], [], at(65)) == {"planner": 60.0}


def test_between_two_agents_the_run_itself_has_to_get_on() -> None:
    events = [happened("agent.started", 0, "planner", "p"), happened("agent.finished", 10, "planner", "p")]
    assert progress_ages(events, [], at(70)) == {"": 60.0}
    assert progress_ages(events, [beat("p", "planner", 9), beat("run-1.checks", "checks", 50)], at(70)) == {"": 20.0}
    assert progress_ages([], [], at(70)) == {}


def test_a_resumed_agent_is_given_time_anew() -> None:
    events = [happened("agent.started", 0, "planner", "p"), happened("run.resumed", 1000)]
    assert progress_ages(events, [beat("p", "planner", 3)], at(1010)) == {"planner": 10.0}


@pytest.mark.parametrize("kind", ["run.continued", "approval.decided"])
def test_an_agent_that_waited_is_given_time_anew(kind: str) -> None:
    events = [happened("agent.started", 0, "planner", "p"), happened("run.waiting", 10), happened(kind, 1000)]
    assert progress_ages(events, [], at(1005)) == {"planner": 5.0}


def test_time_at_work_leaves_out_waits_and_begins_anew_when_resumed() -> None:
    events = [happened("run.started", 0), happened("run.waiting", 10), happened("run.continued", 110)]
    assert seconds_at_work(events, at(115)) == 15.0
    events += [happened("approval.requested", 120), happened("approval.decided", 500)]
    assert seconds_at_work(events, at(510)) == 30.0
    assert seconds_at_work([*events, happened("run.stopped", 510), happened("run.resumed", 900)], at(930)) == 30.0
    assert seconds_at_work([happened("run.started", 0), happened("run.finished", 5)], at(99)) == 5.0


def test_the_expected_time_is_learned_with_a_floor_and_one_bad_night_does_not_count() -> None:
    assert expected_seconds([100.0] * 4) is None
    assert expected_seconds([1.0] * 5) == 60.0
    assert expected_seconds([200.0] * 5) == 200.0
    assert expected_seconds([90, 100, 110, 100, 30_000]) == pytest.approx(100 + 3 * 1.4826 * 10)


@given(st.lists(st.floats(0, 1e5), min_size=5, max_size=50))
def test_at_least_half_of_the_past_runs_would_have_been_in_time(past: list[float]) -> None:
    expected = expected_seconds(past)
    assert expected is not None
    assert sum(seconds <= expected for seconds in past) >= len(past) / 2
