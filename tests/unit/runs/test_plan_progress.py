from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.events import Event
from orchestration.runs.activity_text import activity_text, is_fresh, lost_seconds, tail_lines
from orchestration.runs.plan_progress import PlanProgress, agents_at_work
from orchestration.storage.timeline import HeartbeatRow

NOW = datetime(2026, 1, 5, tzinfo=UTC)
USE = {"seconds": 1.0, "model_calls": 1, "tokens": 2, "usd": 0, "rehearsal": False}


def said(kind: str, name: str = "", **data: Any) -> Event:
    return Event(kind, NOW, "r", "executor", data={"agent_run_id": name, **data})


def plan(*names: str) -> Event:
    return said("plan.started", steps=[{"agent_run_id": name, "title": f"do {name}"} for name in names])


def finished(name: str, failing: Any = None) -> Event:
    return said("agent.finished", name, failing=failing, use=USE)


def states(*events: Event) -> dict[str, str]:
    return {name: step.state.value for name, step in PlanProgress.of(events).steps.items()}


def test_each_step_is_followed_and_counted() -> None:
    begun = [plan("a", "b", "c"), said("agent.started", "a", title="x"), said("agent.started", "b", title="x")]
    assert states(*begun, finished("a")) == {"a": "done", "b": "running", "c": "waiting"}
    assert PlanProgress.of([*begun, finished("a")]).done == 1
    assert states(*begun, finished("b", {"kind": "time_limit", "message": "late"}))["b"] == "failed"
    assert agents_at_work([*begun, finished("a")]) == {"b"}


def test_a_plan_that_goes_on_elsewhere_keeps_what_is_done_and_a_correction_is_a_plan_of_its_own() -> None:
    begun = [
        plan("a", "b"),
        said("agent.started", "a", title="x"),
        finished("a"),
        said("agent.started", "b", title="x"),
    ]
    interrupted = [*begun, said("agent.interrupted", "b"), plan("a", "b")]
    assert states(*interrupted) == {"a": "done", "b": "waiting"}
    assert states(*interrupted, plan("a.2")) == {"a.2": "waiting"}


def beat(phase: str, **more: Any) -> HeartbeatRow:
    values: dict[str, Any] = {"activity": "asks a model", "tokens": 0, "about": "a/m", "since": NOW, "beat_at": NOW}
    return HeartbeatRow(agent_run_id="r.a", run_id="r", agent="a", progress_at=NOW, phase=phase, **{**values, **more})


def test_each_phase_is_told_in_words() -> None:
    assert activity_text(beat("reading", prompt_tokens=3012)) == "a/m reads about 3,012 tokens of prompt"
    assert activity_text(beat("answering", tokens=1234)) == "a/m answers: 1,234 tokens"
    assert activity_text(beat("thinking", tokens=5)) == "a/m thinks: 5 tokens"
    queued = "waits for a place at a"
    assert activity_text(beat("queued", activity=queued, about="a", ahead=2)) == "waits for a place at a, 2 ahead"
    assert activity_text(beat("queued", activity=queued, about="a", ahead=0)).endswith("next in the queue")
    assert activity_text(beat("tool", activity="uses run_command", about="pytest -q")) == "uses run_command: pytest -q"
    assert activity_text(beat("", activity="hears from a/m", tokens=3)) == "hears from a/m, 3 tokens"


def test_a_process_that_gives_no_sign_is_told_from_one_that_is_slow() -> None:
    row = beat("reading", tail="one\n\n  two\n")
    assert lost_seconds(row, NOW + timedelta(seconds=4)) is None
    assert lost_seconds(row, NOW + timedelta(seconds=30)) == 30
    assert (is_fresh(row, NOW + timedelta(seconds=3)), is_fresh(row, NOW + timedelta(seconds=6))) == (True, False)
    assert tail_lines(row, 1) == ["  two"]
