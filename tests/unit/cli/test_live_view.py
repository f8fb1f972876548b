from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestration.cli.live_view import LiveView
from orchestration.events import Event
from orchestration.storage.timeline import HeartbeatRow

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PLANNER = {"agent_run_id": "r.planner", "title": "plan"}


def taken(board: LiveView, kind: str, agent: str | None = "planner", **data: Any) -> str | None:
    return board.update(Event(kind, NOW, "r", agent, data=data))


def beat(activity: str, tokens: int) -> HeartbeatRow:
    return HeartbeatRow("r.planner", "r", "planner", activity, tokens, NOW)


def test_the_board_shows_what_each_agent_does_uses_and_asks() -> None:
    board = LiveView()
    assert taken(board, "agent.started", **PLANNER) == "planner: started: plan"
    board.beat(beat("hears from a/b", 12))
    line = board.agents["r.planner"]
    assert (line.activity, line.tokens + line.coming) == ("hears from a/b", 12)
    taken(board, "model_call.finished", tokens=30, usd=0.5, route="a/b", rehearsal=True)
    assert (line.tokens, line.coming, line.usd, line.provider) == (30, 0, 0.5, "a/b")
    assert (board.tokens, board.usd, board.rehearsal) == (30, 0.5, True)


def test_an_agent_that_has_finished_is_not_brought_back_by_a_late_heartbeat() -> None:
    board = LiveView()
    taken(board, "agent.started", **PLANNER)
    use = {"seconds": 1.0, "model_calls": 2, "tokens": 3, "usd": 0, "rehearsal": False}
    said = taken(board, "agent.finished", agent_run_id="r.planner", failing=None, use=use)
    assert said == "planner: done in 1.0 s, 2 model calls, 3 tokens"
    board.beat(beat("asks a model", 0))
    assert (board.agents["r.planner"].state, board.agents["r.planner"].activity) == ("done", "")


def test_an_interrupted_agent_leaves_the_board_and_may_come_back() -> None:
    board = LiveView()
    taken(board, "agent.started", **PLANNER)
    assert taken(board, "agent.interrupted", agent_run_id="r.planner") is None
    assert board.agents == {}
    taken(board, "agent.started", **PLANNER)
    assert list(board.agents) == ["r.planner"]


def test_a_wait_says_why_and_what_to_do() -> None:
    line = taken(LiveView(), "run.waiting", reason="nobody answers", hints=["a: start it"])
    assert line == "planner: waits: nobody answers\n         → a: start it"
