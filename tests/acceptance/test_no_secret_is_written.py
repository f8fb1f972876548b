"""A key from `.env` comes back from the provider, and stands in the workspace: nothing that we write may hold it."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

from tests.support.gatekeeper import a_gatekeeper
from tests.support.project import ProjectFolder, a_project, provider_at
from tests.support.rehearsal import RehearsalProcess

_CANARY = "canary-7f3e0a51c2d94b68"


def files_that_hold_it(project: ProjectFolder) -> list[Path]:
    """Every file of the project that holds the key, `.env` and the user's own workspace left out; the database also for
    what it holds compressed."""
    own = (project.root / ".env", project.sample.workspace)
    found = [
        path
        for path in project.root.rglob("*")
        if path.is_file() and not any(path.is_relative_to(one) for one in own) and _CANARY.encode() in path.read_bytes()
    ]
    database = project.root / "var" / "orchestrator.db"
    with closing(sqlite3.connect(database)) as connection:
        said = [zlib.decompress(text) for (text,) in connection.execute("SELECT text FROM call_texts")]
    assert said, "nothing was recorded of what the models were asked"
    return [*found, *(database for text in said if _CANARY.encode() in text)]


def test_not_when_a_provider_refuses_it_and_says_which_it_was(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_gatekeeper(provider.url, "another-key") as gate:
        providers = {"gate": provider_at(gate.url, apiKeyEnv="GATE_KEY"), "second": provider_at(provider.url)}
        with a_project(tmp_path / "p", providers) as project:
            project.write_env(GATE_KEY=_CANARY)
            money = project.sample.workspace / "tallybook" / "money.py"
            money.write_text(f"# key: {_CANARY}\n{money.read_text()}")
            command = project.start_run()
            assert command.wait() == 0, command.output
            assert _CANARY in gate.keys_seen
            assert "[redacted:credential]" in project.log.read_text()
            assert files_that_hold_it(project) == []


def test_not_when_the_answer_of_a_model_repeats_it(tmp_path: Path) -> None:
    with (
        a_gatekeeper("", "", echo=True) as gate,
        a_project(tmp_path / "p", {"gate": provider_at(gate.url, apiKeyEnv="GATE_KEY")}) as project,
    ):
        settings = project.settings
        settings["agents"] = [{"id": "scribe", "description": "Writes a note", "outputs": ["note.md"]}]
        settings["workflow"] = []
        project.configure(settings)
        project.write_env(GATE_KEY=_CANARY)
        command = project.start_run("--agent", "scribe")
        command.wait()
        assert gate.keys_seen
        assert _CANARY not in command.output
        assert files_that_hold_it(project) == []


def test_not_when_it_stands_in_the_goal(tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {}) as project:
        project.write_env(SOME_API_KEY=_CANARY)
        workspace = str(project.sample.workspace)
        said = project.call("run", "--provider", "rehearsal", "--workspace", workspace, f"log in with {_CANARY}")
        assert "is hidden from agents, and they read: log in with [redacted:credential]" in said
        assert "log in with [redacted:credential]" in project.show()["goal"]
        assert files_that_hold_it(project) == []
