"""Events in words: the same sentences for terminal, browser and log."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.events.render import followed_line, render

USE = {"seconds": 1.25, "model_calls": 2, "tokens": 300, "usd": 0.5, "rehearsal": True}


def event(kind: str, agent: str | None = None, **data: Any) -> Event:
    return EventBus(FakeClock()).emit(kind, run_id="run-1", agent=agent, **data)


@pytest.mark.parametrize(
    ("happened", "sentence"),
    [
        (event("run.created"), "run run-1 created"),
        (event("run.started", workspace="/w"), "run run-1 started in /w"),
        (event("run.finished", status="failed", reason="no provider"), "run run-1 failed: no provider"),
        (event("run.stopped", reason=""), "run run-1 stopped"),
        (event("run.waiting", "planner", reason="no answer", hints=["a"]), "planner: waits: no answer\n         → a"),
        (event("approval.requested", question="May it?"), "run run-1 waits for approval: May it?"),
        (event("approval.decided", decision="denied", reason="no"), "run run-1 denied: no"),
        (event("agent.finished", "a", use=USE), "a: done in 1.2 s, 2 model calls, 300 tokens, $0.5000 [rehearsal]"),
        (event("agent.finished", "a", failing={"kind": "timeout", "message": "late"}), "a: failed: late"),
        (event("tool_call.finished", "a", tool="read", about="x.py", ok=False), "a: read x.py (failed)"),
        (event("incident.severity_raised", incident="inc-1", severity="P0"), "inc-1 raised to P0"),
        (event("calendar.applied", schedules=[]), "calendar: no schedules"),
        (event("plugin.done"), "something happened"),
    ],
    ids=lambda one: one.kind if isinstance(one, Event) else "",
)
def test_an_event_reads_as_a_sentence_about_its_agent_or_its_run(happened: Event, sentence: str) -> None:
    assert render(happened) == sentence


def test_only_what_concerns_people_who_follow_a_run_is_a_line() -> None:
    assert followed_line(event("artifact.written", "a", name="plan.md")) == "a: wrote plan.md"
    assert followed_line(event("model_call.finished", "a", route="p/m")) is None
    assert followed_line(event("plugin.done")) is None
