"""A project is begun: what is written can be used at once, and what was there stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.app.config_check import check_files
from orchestration.app.found_providers import find_providers, ollama_address, ollama_models
from orchestration.app.starter import CONFIGURATION, PROVIDERS, begin, credential, shipped
from orchestration.errors import UsageError
from tests.support.project import ROOT
from tests.support.receivers import Answer, http_receiver


def call(folder: Path, *arguments: str, **offered: str) -> subprocess.CompletedProcess[str]:
    """Call the installed command, in a process that starts from nothing, as for a user."""
    # No Ollama, and none of the keys that whoever runs the tests may have.
    plain = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
    environment = {**plain, "PYTHONPATH": str(ROOT), "OLLAMA_HOST": "127.0.0.1:9", **offered}
    command = [Path(sys.executable).with_name("orchestrator"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_configuration_to_begin_with_is_the_one_of_this_repository() -> None:
    assert (ROOT / "config" / CONFIGURATION).read_text(encoding="utf-8") == shipped()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_gives_a_configuration_that_can_be_used(provider: str, tmp_path: Path) -> None:
    configuration, schema, tasks, example, ignored = begin(tmp_path / "new", provider)
    assert "orchestration.cli.tasks" in tasks.read_text()
    key = credential(provider)
    checked = check_files(configuration, {key: "a-key-for-a-test-0123456789"} if key else {})
    assert checked.usable, [finding.message for finding in checked.findings]
    assert json.loads(configuration.read_text())["runtime"]["defaultProvider"] == provider
    assert json.loads(schema.read_text())["$schema"]
    assert example.read_text() == (ROOT / ".env.example").read_text()
    assert ".env" in ignored.read_text().splitlines()


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


def test_what_must_not_be_committed_is_added_to_what_is_ignored_already(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.pyc\nvar/\n.env\n")
    begin(tmp_path, "ollama")
    assert (tmp_path / ".gitignore").read_text().splitlines() == [
        *("*.pyc", "var/", ".env", "", "# orchestrator: keys, state, logs and results", "/logs/", "/artifacts/")
    ]


def test_what_the_environment_offers_is_used(tmp_path: Path) -> None:
    offered = {
        "AZURE_OPENAI_API_KEY": "k",
        "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/",
        "AZURE_OPENAI_DEPLOYMENT": "gpt",
        "GITHUB_TOKEN": "t",
    }
    begun = call(tmp_path, "init", **offered)
    assert "azure      AZURE_OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT are set; used first" in begun.stdout
    assert "put " not in begun.stdout
    runtime = json.loads((tmp_path / "config" / CONFIGURATION).read_text())["runtime"]
    assert runtime["defaultProvider"] == "azure"
    assert runtime["azure"]["endpoint"] == "https://mine.openai.azure.com/openai/v1/"
    assert (runtime["azure"]["defaultModel"], "enabled" in runtime["azure"]) == ("gpt", False)


def test_a_key_of_anthropic_is_found_as_its_own_programs_read_it() -> None:
    environment = {"ANTHROPIC_API_KEY": "k"}
    [found] = find_providers(environment, ())
    assert (found.name, dict(found.settings)) == ("anthropic", {})
    environment |= {"ANTHROPIC_BASE_URL": "https://proxy.example/", "ANTHROPIC_MODEL": "claude-x"}
    [found] = find_providers(environment, ())
    assert found.settings == {"baseUrl": "https://proxy.example/v1", "defaultModel": "claude-x"}
    assert len(find_providers({**environment, "OPENAI_API_KEY": "k"}, ())) == 2


def test_a_running_ollama_is_found_with_the_model_that_suits_best() -> None:
    tags = {"models": [{"name": "llama3.2:1b"}, {"name": "qwen2.5-coder:7b"}]}
    with http_receiver() as ollama:
        ollama.answer = Answer(body=json.dumps(tags))
        environment = {"OLLAMA_HOST": ollama.url.removeprefix("http://")}
        [found] = find_providers(environment, ollama_models(environment))
        for odd in ("", "[]", '{"models": null}', '{"models": [{"model": 1}]}'):
            ollama.answer = Answer(body=odd)
            assert ollama_models(environment) == ()
    assert (found.name, found.settings["defaultModel"]) == ("ollama", "qwen2.5-coder:7b")
    assert found.settings["host"] == ollama.url
    assert ollama_models(environment) == ()


@given(st.text(max_size=30))
def test_whatever_ollama_s_address_is_said_to_be_nothing_breaks(text: str) -> None:
    assert ollama_address({"OLLAMA_HOST": text}).startswith("http")


def test_a_configuration_that_is_there_stays(tmp_path: Path) -> None:
    begin(tmp_path, "ollama")
    file = tmp_path / "config" / CONFIGURATION
    file.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        begin(tmp_path, "openai")
    refused = call(tmp_path, "init")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert file.read_text() == "mine"
