"""A few drills, held as a user holds them: real processes, a real fault, a real response."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from orchestration.app import Project, game_days, project
from orchestration.cli import cli
from orchestration.incidents.records import IncidentRecords
from orchestration.storage.database import Database
from orchestration.storage.drills import DrillHistory


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "mine" / "config" / "agents.config.json"
    file.parent.mkdir(parents=True)
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
    file.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    return file


def held(config: Path, keep: Path, name: str) -> dict[str, Any]:
    command = ["--config", str(config), "drill", name, "--keep", str(keep), "--json"]
    ended = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    found: dict[str, Any] = json.loads(ended.stdout)
    assert ended.return_value == 0, found["drills"][0]["misses"]
    return found


# It starts a control process, a worker and providers, and waits for the whole flow: about 20 s.
def test_a_fault_is_detected_repaired_and_proved_without_a_hand_on_it(config: Path, tmp_path: Path) -> None:
    name = "tool-blocks"
    keep = tmp_path / "kept"
    drill = held(config, keep, name)["drills"][0]
    assert drill["passed"] is True
    assert 0 <= drill["detected_after"] < drill["resolved_after"]
    assert (drill["steps_lost"], drill["steps_repeated"]) == (0, 0)
    assert drill["by_hand"]
    _it_stood_apart(config, keep / name, name)


def _it_stood_apart(config: Path, folder: Path, name: str) -> None:
    """The incident is in the drill's own database, marked and uncounted; ours holds the result alone."""
    database = Database(f"sqlite:///{folder / 'var' / 'orchestrator.db'}")
    records = IncidentRecords(database)
    incidents = [records.get(row.id) for row in records.table.list(limit=10)]
    database.close()
    assert [(incident.drill, incident.counted) for incident in incidents] == [(True, False)]
    with project(str(config)) as here:
        assert here.incident_service.records.table.list(limit=10) == ()
        assert [(record.drill, record.passed) for record in DrillHistory(here.database).list()] == [(name, True)]


async def test_a_game_day_holds_its_drills_and_keeps_them_under_its_name(config: Path) -> None:
    app = Project(config)
    payload = {"schedule": {"name": "monthly", "drills": ["provider-killed"]}, "at": "2026-03-01T09:00:00Z"}
    assert await game_days.hold(app.config_file, app.bus, payload) == {"held": 1, "passed": 1}
    history = DrillHistory(app.database).list()
    app.database.close()
    assert [(record.drill, record.game_day, record.passed) for record in history] == [
        ("provider-killed", "monthly", True)
    ]
    assert history[0].figures["helped"] == "use-fallback"
