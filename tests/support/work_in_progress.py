"""A run whose executor answers, in the middle of a plan of three steps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestration.app.project import ProjectRecords
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.storage.runs import Run

USE = {"seconds": 1.0, "model_calls": 1, "tokens": 2, "usd": 0, "rehearsal": False}


def a_run_at_work(here: ProjectRecords, run_id: str) -> Run:
    """Record it as another process would: events and a heartbeat in the database."""
    now = here.clock.now()
    run = Run(run_id, "count to three", "/nowhere", now, RunStatus.RUNNING, started_at=now)
    here.runs.add(run)
    first, second, third = (f"{run_id}.executor.{name}" for name in ("one", "two", "three"))
    steps = [{"agent_run_id": name, "title": f"step {name[-5:]}"} for name in (first, second, third)]
    here.timeline.append(
        [
            _event(here, run_id, "plan.started", steps=steps),
            _event(here, run_id, "agent.started", agent_run_id=first, title="one"),
            _event(here, run_id, "agent.finished", agent_run_id=first, failing=None, use=USE),
            _event(here, run_id, "agent.started", agent_run_id=second, title="two"),
        ]
    )
    beat_of(here, run, 100, "Now I count <b>to</b>\ntwo.")
    return run


def beat_of(here: ProjectRecords, run: Run, tokens: int, tail: str) -> None:
    """The executor's next heartbeat."""
    about = {"phase": "answering", "about": "a/m", "tokens": tokens, "seconds": 30.0, "tail": tail}
    name = f"{run.id}.executor.two"
    beat = _event(here, run.id, "agent.progress", agent_run_id=name, activity="hears from a/m", **about)
    here.timeline.save_heartbeats([beat])


def _event(here: ProjectRecords, run_id: str, kind: str, **data: Any) -> Event:
    at = here.clock.now() - timedelta(seconds=0.1)
    return Event(kind, at, run_id, "executor", data=data)
