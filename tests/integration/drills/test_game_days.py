"""Game days: schedules that hold drills instead of starting a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestration.app import ProjectRecords, game_days
from orchestration.config.schedules import ScheduleSettings


@pytest.fixture
def app(tmp_path: Path) -> ProjectRecords:
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
    file.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    return ProjectRecords(file)


def planned(*drills: str) -> dict[str, Any]:
    return {"schedule": {"name": "monthly", "drills": list(drills)}, "at": "2026-03-01T09:00:00+00:00"}


def test_the_console_command_holds_them_under_the_name_of_the_schedule() -> None:
    head = (sys.executable, "-m", "orchestration", "--config", "c.json", "drill")
    tail = ("--game-day", "monthly", "--json")
    assert game_days.command("c.json", "monthly", ("all",)) == (*head, "--all", *tail)
    assert game_days.command("c.json", "monthly", ("provider-killed",)) == (*head, "provider-killed", *tail)


async def test_a_game_day_that_cannot_be_held_is_an_event_and_no_crash(app: ProjectRecords) -> None:
    heard: list[Any] = []
    app.bus.subscribe(heard.append)
    assert await game_days.hold(app.config_file, app.bus, planned("no-such-drill")) == {"held": 0, "passed": 0}
    assert [(event.kind, event.data["name"], event.data["held"]) for event in heard] == [
        ("game_day.finished", "monthly", 0)
    ]
    app.database.close()


@pytest.mark.parametrize("what", [{}, {"goal": " "}, {"goal": "Do it", "drills": ["all"]}])
def test_a_schedule_has_a_goal_or_drills_and_not_both(what: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="a goal, or drills, and not both"):
        ScheduleSettings(name="x", cron="0 9 * * 1", **what)


def test_a_schedule_of_drills_needs_no_goal() -> None:
    assert ScheduleSettings(name="x", cron="0 9 * * 1", drills=("all",)).goal == ""
