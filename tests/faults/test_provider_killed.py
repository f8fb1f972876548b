"""The provider's process is killed in the middle of a run."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.engine_rows import committed_steps
from tests.support.project import a_project, provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider

_IN_THE_MIDDLE = 7


def test_the_fallback_provider_takes_over_at_once(provider: RehearsalProcess, tmp_path: Path) -> None:
    with (
        a_provider() as second,
        a_project(tmp_path / "p", {"first": provider_at(provider.url), "second": provider_at(second.url)}) as project,
    ):
        command = project.start_run()
        provider.wait_for_calls(_IN_THE_MIDDLE)
        provider.kill()
        assert command.wait() == 0, command.output
        run = project.show()
        calls = [event["data"] for event in run["events"] if event["kind"] == "model_call.finished"]
        assert {call["outcome"] for call in calls} == {"ok"}
        assert {call["route"].partition("/")[0] for call in calls} == {"first", "second"}
        assert run["status"] == "succeeded"
        # Counted, because on a busy machine the first one answers a few more before it is killed.
        by_first = sum(call["route"].startswith("first/") for call in calls)
        assert len(second.calls()) + by_first >= committed_steps(project.root / "var/engine.db", run["id"])
        opened = [line for line in project.log.read_text().splitlines() if " route.opened " in line]
    assert any("first/rehearsal-1" in line and "unreachable" in line for line in opened)


def test_without_a_fallback_the_run_stops_says_what_to_start_and_can_be_resumed(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    ollama = {"type": "ollama", "host": provider.url, "defaultModel": "rehearsal-1"}
    with a_project(tmp_path / "p", {"ollama": ollama}) as project:
        command = project.start_run("--patience", "1")
        provider.wait_for_calls(_IN_THE_MIDDLE)
        provider.kill()
        assert command.wait() == 1
        run = project.show()
        assert run["status"] == "stopped"
        assert "ollama/rehearsal-1: unreachable" in run["reason"]
        assert "start it with: ollama serve" in command.output
        assert f"orchestrator runs resume {run['id']}" in command.output
        committed = committed_steps(project.root / "var/engine.db", run["id"])

        provider.start()
        assert "succeeded" in project.call("runs", "resume", run["id"])
        assert project.show()["status"] == "succeeded"
        after = committed_steps(project.root / "var/engine.db", run["id"])
        assert len(provider.calls()) == after - committed


def test_a_resumed_run_looks_at_once_whether_the_provider_is_back_however_long_it_was_away(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    breaker = {"probeAfter": 60, "probeAtMost": 600}
    with a_project(tmp_path / "p", {"first": provider_at(provider.url, breaker=breaker)}) as project:
        provider.kill()
        assert project.start_run("--patience", "0.5").wait() == 1
        provider.start()
        assert "succeeded" in project.call("runs", "resume", "latest", "--patience", "10")


def test_a_provider_that_comes_back_while_the_run_waits_is_used_at_once(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    breaker = {"probeAfter": 0.5, "probeAtMost": 0.5}
    with a_project(tmp_path / "p", {"first": provider_at(provider.url, breaker=breaker)}) as project:
        command = project.start_run("--patience", "60")
        provider.wait_for_calls(_IN_THE_MIDDLE)
        provider.kill()
        command.wait_for("waits: no provider can answer now")
        provider.start()
        assert command.wait() == 0, command.output
    waited = set(re.findall(r"(\w+): waits: no provider can answer now", command.output))
    continued = set(re.findall(r"(\w+): continues$", command.output, re.MULTILINE))
    assert waited, command.output
    assert continued == waited, command.output
