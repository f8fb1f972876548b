from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestration.events import Event
from orchestration.workers.activity import ProcessActivity


def said(*events: tuple[str, str, dict[str, Any]]) -> ProcessActivity:
    doing = ProcessActivity()
    for kind, run_id, data in events:
        doing.on_event(Event(kind, datetime.now(UTC), run_id, data.get("agent"), data=data))
    return doing


def agent(name: str, run_id: str) -> dict[str, Any]:
    return {"agent": name, "agent_run_id": f"{run_id}.{name}", "activity": "asks a model"}


def test_a_process_that_does_nothing_says_so() -> None:
    assert str(said()) == "nothing"


def test_each_agent_is_named_with_its_run_and_what_it_does_now() -> None:
    doing = said(
        ("run.started", "r1", {}),
        ("agent.started", "r1", agent("planner", "r1")),
        ("agent.started", "r2", agent("executor", "r2")),
        ("agent.progress", "r1", agent("planner", "r1")),
        ("agent.progress", "r3", agent("reviewer", "r3")),
    )
    assert str(doing) == "planner of r1 (asks a model), executor of r2"
    assert doing.runs == {"r1", "r2"}


def test_a_run_stays_in_hand_between_its_agents() -> None:
    doing = said(("agent.started", "r1", agent("planner", "r1")), ("agent.finished", "r1", agent("planner", "r1")))
    assert (str(doing), doing.runs) == ("nothing", {"r1"})


def test_what_ends_or_is_interrupted_is_forgotten() -> None:
    begun = ("agent.started", "r1", agent("planner", "r1"))
    assert str(said(begun, ("agent.interrupted", "r1", agent("planner", "r1")))) == "nothing"
    for kind in ("run.finished", "run.cancelled", "run.stopped"):
        doing = said(begun, (kind, "r1", {}))
        assert (str(doing), doing.runs) == ("nothing", set())
