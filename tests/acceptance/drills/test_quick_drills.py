"""A drill of a game day, held as a user holds it: real processes, a real fault, a real response."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from click.testing import CliRunner

from orchestration.app import game_days, project
from orchestration.cli import cli
from orchestration.clock import SystemClock
from orchestration.events import EventBus
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


# It starts a control process, a worker and providers, and waits for the whole flow: about 20 s.
async def test_a_fault_is_detected_repaired_and_proved_without_a_hand_on_it(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, keep = "tool-blocks", tmp_path / "kept"
    command = ["--config", str(config), "drill", name, "--keep", str(keep), "--game-day", "monthly", "--json"]
    ended = await anyio.to_thread.run_sync(partial(CliRunner().invoke, cli, command, standalone_mode=False))
    drill = json.loads(ended.stdout)["drills"][0]
    assert (ended.return_value, drill["passed"]) == (0, True), drill["misses"]
    assert 0 <= drill["detected_after"] < drill["resolved_after"]
    assert (drill["steps_lost"], drill["steps_repeated"]) == (0, 0)
    assert drill["by_hand"]
    _it_stood_apart(config, keep / name, name)
    # A schedule holds drills by this command, in a process of its own, and reads what that has printed.
    (tmp_path / "printed.json").write_text(ended.stdout)
    monkeypatch.setattr(game_days, "command", lambda *_: ("cat", str(tmp_path / "printed.json")))
    payload = {"schedule": {"name": "monthly", "drills": [name]}, "at": "2026-03-01T09:00:00Z"}
    assert await game_days.hold(config, EventBus(SystemClock()), payload) == {"held": 1, "passed": 1}


def _it_stood_apart(config: Path, folder: Path, name: str) -> None:
    """The incident is in the drill's own database, marked and uncounted; ours holds the result alone."""
    database = Database(f"sqlite:///{folder / 'var' / 'orchestrator.db'}")
    records = IncidentRecords(database)
    incidents = [records.get(row.id) for row in records.table.list(limit=10)]
    database.close()
    assert [(incident.drill, incident.counted) for incident in incidents] == [(True, False)]
    with project(str(config)) as here:
        assert here.incident_service.records.table.list(limit=10) == ()
        history = DrillHistory(here.database).list()
    assert [(record.drill, record.game_day, record.passed) for record in history] == [(name, "monthly", True)]
    assert history[0].figures["helped"] == "restart-worker"
