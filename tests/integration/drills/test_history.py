"""The history of drills, and the command around them where none is held."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestration.app import project
from orchestration.cli import cli
from orchestration.cli import drill as commands
from orchestration.drills import catalogue
from orchestration.drills.model import Drill
from orchestration.drills.observation import DrillObservation, ObservedWork
from orchestration.drills.runner import DrillResult
from orchestration.drills.scoring import ScoringMiss
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
    assert [one["drill"] for one in listed] == [drill.name for drill in catalogue.list_drills()]
    assert listed[0]["expects"]["severity"] == "P2"
    assert "credentials-rotated" in output(config, "--list", "provider-unavailable")


def test_without_names_nothing_is_held(config: str) -> None:
    with pytest.raises(UsageError, match="Name at least one drill or scenario"):
        output(config)
    with pytest.raises(NotFoundError, match="got 'no-such-drill'"):
        output(config, "no-such-drill")


def test_the_table_for_a_document_stands_alone_and_all_else_beside_it(
    config: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drill itself is held elsewhere; here is what is made of its result."""

    async def held(one: Drill, *_: object, **__: object) -> DrillResult:
        seen = DrillObservation(9.0, work=ObservedWork(steps=3), slowness=2.5)
        return DrillResult(one, NOW, seen, (ScoringMiss("detected", "an incident within 3 s", "none"),))

    monkeypatch.setattr(commands, "run_drill", held)
    command = ["--config", config, "drill", "provider-killed", "--markdown"]
    ended = CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)
    assert ended.return_value == 1
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("| drill | result | expected |")
    assert lines[2].startswith("| provider-killed | FAILED | repaired |")
    assert lines[-1].endswith("Limits were widened: programs ran 2.5 times slower than alone.")
    assert "detected: expected an incident within 3 s, got none" in ended.stderr
    assert "the machine was busy: a program ran 2.5 times slower than alone" in ended.stderr
    (kept,) = json.loads(output(config, "--history", "--json"))
    assert kept["figures"]["slowness"] == 2.5


def test_the_limits_of_each_drill_are_listed_with_what_they_come_from(config: str) -> None:
    listed = {one["drill"]: one["expects"] for one in json.loads(output(config, "--list", "--json"))}
    hangs, limited = listed["provider-hangs"], listed["tool-over-its-limit"]
    assert (hangs["holds"], hangs["every"], hangs["detected_within"], hangs["resolved_within"]) == (2.0, 1.0, 5.0, 32.0)
    assert (limited["limit"], limited["stopped_within"]) == (3.0, 4.0)
