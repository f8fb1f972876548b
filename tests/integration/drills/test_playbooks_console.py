"""`orchestrator playbooks` on a project of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestration.app import project
from orchestration.cli import cli
from orchestration.errors import UsageError
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.storage.playbooks import GuardTrip, PlaybookRecords, PlaybookRun
from orchestration.storage.tables import metadata

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OWN = """\
playbook: agent-failure
title: Our own way
scenario: agent-failure
about: For the tests.
verify:
  holds: { a.b: 1 }
"""


class Console:
    """The command, in a project whose providers are nowhere."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.config = folder / "config" / "agents.config.json"
        self.config.parent.mkdir()
        nowhere = {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1", "defaultModel": "m", "auth": "none"}
        runtime = {"defaultProvider": "one", "fallbackProviders": ["two"], "one": nowhere, "two": nowhere}
        self.config.write_text(json.dumps({"runtime": runtime, "agents": [{"id": "planner"}]}))

    def own(self, text: str) -> Path:
        path = self.root / "config" / "playbooks" / "own.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str) -> Result:
        command = ["--config", str(self.config), "playbooks", *arguments]
        return CliRunner().invoke(cli, command, catch_exceptions=False, standalone_mode=False)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def rows(self) -> dict[str, Sequence[Any]]:
        """Every row of the project's database."""
        with project(str(self.config)) as here, here.database.read() as connection:
            tables = [table for table in metadata.sorted_tables if table.name not in ("events", "config_versions")]
            return {table.name: connection.execute(table.select()).all() for table in tables}


@pytest.fixture
def console(tmp_path: Path) -> Console:
    return Console(tmp_path)


def test_the_shipped_playbooks_are_listed_and_ones_own_wins_by_name(console: Console) -> None:
    console.own(OWN)
    listed = {entry["playbook"]: entry for entry in console.json("list")}
    assert listed["agent-failure"]["own"] is True
    assert listed["agent-failure"]["title"] == "Our own way"
    assert listed["worker-lost"]["own"] is False


def test_a_playbook_is_shown_as_people_read_it(console: Console) -> None:
    shown = console.run("show", "provider-unavailable").output
    assert shown.startswith("# Model provider unavailable\n")
    assert "curl http://localhost:11434/api/tags" in shown


def test_mistakes_are_told_with_file_and_line(console: Console) -> None:
    path = console.own(OWN + "mitigte: []\n")
    checked = console.run("validate")
    assert checked.return_value == 2
    assert f"{path}:7:1: the key is not known (mitigte)" in checked.output
    assert console.run("validate", str(path)).return_value == 2
    console.own(OWN)
    assert console.run("validate").return_value == 0


def test_every_playbook_is_rendered(console: Console) -> None:
    folder = console.root / "runbooks"
    written = console.json("render", str(folder))
    assert {Path(path).stem for path in written} == {
        entry.playbook.name for entry in PlaybookCatalogue(Path("none")).all()
    }
    assert (folder / "worker-lost.md").read_text().startswith("# A worker was lost\n")


def test_a_dry_run_shows_the_plan_and_changes_nothing(console: Console) -> None:
    before = console.rows()
    plan = console.json("dry-run", "provider-unavailable")
    assert console.rows() == before
    looked = {step["step"]: step for step in plan["looked"]}
    assert "unreachable" in looked["probe"]["says"]
    assert plan["causes"][0]["id"] == "unreachable"
    options = {option["option"]: option for option in plan["options"]}
    assert options["close-breakers"]["applies"] is False
    assert options["use-fallback"]["steps"][0]["action"] == "provider.route"
    text = console.run("dry-run", "provider-unavailable").output
    assert "nothing is changed" in text
    assert "provider.probe [looked] one: unreachable" in text


def test_what_was_done_is_shown_and_a_tripped_guard_is_reset_by_a_person(console: Console) -> None:
    with project(str(console.config)) as here:
        records = PlaybookRecords(here.database)
        records.add_run(PlaybookRun("response-1", "inc-1", "worker-lost", 1, NOW, drill=True))
        records.add_trip(GuardTrip("trip-1", "hourly-cap", "run.restart", "inc-1", "it ran 6 times", NOW))
    assert [run["playbook"] for run in console.json("history", "worker-lost")["runs"]] == ["worker-lost"]
    assert "orchestrator playbooks reset run.restart" in console.run("history").output
    assert console.json("reset", "run.restart") == {"action": "run.restart", "reset": 1}
    assert console.json("history")["tripped"] == []
    with pytest.raises(UsageError, match="No guard is tripped for the action"):
        console.run("reset", "run.restart")


def test_a_playbook_is_exported_for_other_tools(console: Console) -> None:
    exported = json.loads(console.run("export", "worker-lost", "--cacao").stdout)
    assert exported["spec_version"] == "cacao-2.0"
