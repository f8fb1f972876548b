"""The history of drills, and the command around them where none is held."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.app import project
from orchestration.cli import cli
from orchestration.drills import catalogue
from orchestration.errors import NotFoundError, UsageError
from orchestration.storage.drills import DrillHistory, DrillRecord

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal"}}
    file.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))
    return str(file)


def output(config: str, *arguments: str) -> str:
    command = ["--config", config, "drill", *arguments]
    return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False).output


def test_the_newest_drills_come_first_and_of_one_drill_only_its_own(config: str) -> None:
    with project(config) as here:
        history = DrillHistory(here.database)
        for number, (name, passed) in enumerate((("a", True), ("b", False), ("a", False))):
            at = NOW + timedelta(minutes=number)
            history.add(DrillRecord(f"drill-{number}", name, "agent-failure", at, passed, "march", {"steps": 1}, ["x"]))
        assert [record.id for record in history.list()] == ["drill-2", "drill-1", "drill-0"]
        assert [record.id for record in history.list("a", limit=1)] == ["drill-2"]
    kept = json.loads(output(config, "--history", "b", "--json"))
    assert [(one["drill"], one["passed"], one["game_day"], one["misses"]) for one in kept] == [
        ("b", False, "march", ["x"])
    ]
    assert "2026-03-01 12:01  b      FAILED" in output(config, "--history", "b")


def test_the_drills_are_listed_with_what_they_expect(config: str) -> None:
    listed = json.loads(output(config, "--list", "--json"))
    assert [one["drill"] for one in listed] == [drill.name for drill in catalogue.ALL]
    assert listed[0]["expects"]["severity"] == "P2"
    assert "credentials-rotated" in output(config, "--list", "provider-unavailable")


def test_without_names_nothing_is_held(config: str) -> None:
    with pytest.raises(UsageError, match="expected drills or scenarios by name, got none"):
        output(config)
    with pytest.raises(NotFoundError, match="got 'no-such-drill'"):
        output(config, "no-such-drill")
