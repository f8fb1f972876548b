from __future__ import annotations

from datetime import UTC, datetime

from orchestration.events import Event
from orchestration.workflows.step_count import StepCount, count_steps

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def executed(*keys: str) -> list[Event]:
    return [Event("model_call.finished", NOON, data={"key": key}) for key in keys]


def test_steps_that_ran_once_are_only_counted() -> None:
    assert count_steps(executed("a/1", "b/1", "a/2")) == StepCount(3, 0, 0)


def test_the_step_that_was_under_way_may_run_again() -> None:
    assert count_steps(executed("a/1", "a/2", "b/1", "a/2", "a/3")) == StepCount(5, 1, 0)


def test_a_committed_step_that_ran_again_is_found() -> None:
    assert count_steps(executed("a/1", "a/2", "a/1", "a/2")) == StepCount(4, 2, 1)


def test_other_events_and_calls_outside_agents_do_not_count() -> None:
    others = [Event("run.started", NOON, data={"key": "a/1"}), Event("model_call.finished", NOON, data={"key": None})]
    assert count_steps(others) == StepCount(0, 0, 0)


def side_by_side(*keys: str, after: int) -> list[Event]:
    return [Event("tool_call.finished", NOON, data={"key": key, "after": after}) for key in keys]


def test_of_steps_side_by_side_a_later_one_does_not_prove_an_earlier_one_committed() -> None:
    events = [*executed("a/1"), *side_by_side("a/3", "a/2", after=1), *side_by_side("a/2", after=1), *executed("a/4")]
    assert count_steps(events) == StepCount(5, 1, 0)


def test_a_step_side_by_side_that_ran_again_after_the_next_is_found() -> None:
    events = [*executed("a/1"), *side_by_side("a/2", "a/3", after=1), *executed("a/4"), *side_by_side("a/3", after=1)]
    assert count_steps(events) == StepCount(5, 1, 1)


def test_an_agent_that_gave_up_begins_anew_when_it_is_restarted() -> None:
    gave_up = Event("agent.finished", NOON, data={"agent_run_id": "a", "failing": {"kind": "malformed_answer"}})
    again = [*executed("a/1", "a/2", "b/1"), gave_up, *executed("a/1", "a/2")]
    assert count_steps(again) == StepCount(5, 0, 0)
    delivered = Event("agent.finished", NOON, data={"agent_run_id": "a", "failing": None})
    assert count_steps([*again, delivered, *executed("a/1")]) == StepCount(6, 1, 1)
