"""A project is begun: what is written can be used at once, and what was there stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.app.config_check import check_files
from orchestration.app.starter import CONFIGURATION, PROVIDERS, begin, credential, shipped
from orchestration.errors import UsageError
from tests.support.project import ROOT


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the installed command, in a process that starts from nothing, as for a user."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [Path(sys.executable).with_name("orchestrator"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_configuration_to_begin_with_is_the_one_of_this_repository() -> None:
    assert (ROOT / "config" / CONFIGURATION).read_text(encoding="utf-8") == shipped()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_gives_a_configuration_that_can_be_used(provider: str, tmp_path: Path) -> None:
    configuration, schema, tasks = begin(tmp_path / "new", provider)
    assert "orchestration.cli.tasks" in tasks.read_text()
    key = credential(provider)
    checked = check_files(configuration, {key: "a-key-for-a-test-0123456789"} if key else {})
    assert checked.usable, [finding.message for finding in checked.findings]
    assert json.loads(configuration.read_text())["runtime"]["defaultProvider"] == provider
    assert json.loads(schema.read_text())["$schema"]


def test_a_goal_is_worked_in_a_project_that_was_just_begun(tmp_path: Path) -> None:
    said = call(tmp_path, "config", "validate")
    assert (said.returncode, "Create a project with `orchestrator init`" in said.stdout) == (2, True)
    begun = call(tmp_path, "init", "--provider", "rehearsal")
    assert begun.returncode == 0, begun.stderr
    assert "orchestrator doctor" in begun.stdout
    worked = call(tmp_path, "demo", "--provider", "rehearsal")
    assert worked.returncode == 0, worked.stdout + worked.stderr
    assert list(tmp_path.glob("artifacts/run-*/review.md"))


def test_the_next_steps_name_the_key_that_is_needed(tmp_path: Path) -> None:
    begun = call(tmp_path, "init", "work", "--provider", "github")
    assert "cd work" in begun.stdout
    assert "put GITHUB_TOKEN=… into .env" in begun.stdout
    asked = json.loads(call(tmp_path, "init", "other", "--provider", "azure", "--json").stdout)
    assert asked["credential"] == "AZURE_OPENAI_API_KEY"


def test_a_configuration_that_is_there_stays(tmp_path: Path) -> None:
    begin(tmp_path, "ollama")
    file = tmp_path / "config" / CONFIGURATION
    file.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        begin(tmp_path, "openai")
    refused = call(tmp_path, "init")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert file.read_text() == "mine"
