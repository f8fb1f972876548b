"""Files that are edited while a run is under way."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.gatekeeper import a_gatekeeper
from tests.support.patience import Stopwatch
from tests.support.project import ProjectFolder, a_project, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess, a_provider

_COUNTS_WITHIN = 2.0


def edit_default_provider(project: ProjectFolder, name: str) -> None:
    settings = project.settings
    settings["runtime"]["defaultProvider"] = name
    project.configure(settings)


def test_a_new_default_provider_is_asked_within_two_seconds(tmp_path: Path) -> None:
    """The answers trickle so slowly that there is always a call under way when the edit comes."""
    with a_provider(latency_ms=15) as first, a_provider() as second:
        providers = {"first": provider_at(first.url), "second": provider_at(second.url)}
        with a_project(tmp_path / "p", providers) as project:
            command = project.start_run()
            first.wait_for_calls(4)
            assert second.calls() == []
            edit_default_provider(project, "second")
            edited = Stopwatch()
            wait_until(second.calls, "for a call to the new default")
            assert edited.is_within(_COUNTS_WITHIN), edited
            asked = len(first.calls())
            assert command.wait() == 0, command.output
            assert len(first.calls()) <= asked + 1  # a call that was on its way when we counted


def test_a_new_key_is_used_within_two_seconds_by_a_run_that_waits_for_it(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_gatekeeper(provider.url, "sk-the-right-key-0123456789") as gate:
        settings = provider_at(gate.url, apiKeyEnv="GATE_KEY")
        with a_project(tmp_path / "p", {"first": settings}) as project:
            project.write_env(GATE_KEY="sk-a-stale-key-0123456789")
            command = project.start_run("--patience", "60")
            command.wait_for("waits: no provider can answer now")
            assert provider.calls() == []
            project.write_env(GATE_KEY=gate.key)
            edited = Stopwatch()
            wait_until(provider.calls, "for a call with the new key")
            assert edited.is_within(_COUNTS_WITHIN), edited
            assert command.wait() == 0, command.output
        assert set(gate.keys_seen) == {"sk-a-stale-key-0123456789", gate.key}
        log = project.log.read_text()
    assert "credentials.changed" in log
    assert "sk-a" not in log
    assert gate.key not in log


def test_a_bad_edit_is_refused_with_its_place_and_the_run_goes_on(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run()
        provider.wait_for_calls(3)
        lines = json.dumps(project.settings, indent=2).splitlines()
        place = next(number for number, line in enumerate(lines, 1) if '"defaultProvider"' in line)
        lines[place - 1] = '    "defaultProvider": "nobody",'
        project.configuration_file.write_text("\n".join(lines))
        edited = Stopwatch()
        wait_until(lambda: "configuration.refused" in project.log.read_text(), "for the refusal")
        assert edited.is_within(_COUNTS_WITHIN), edited
        assert command.wait() == 0, command.output
        (refusal,) = [line for line in project.log.read_text().splitlines() if "configuration.refused" in line]
    assert " ERROR " in refusal
    assert f"agents.config.json:{place}:" in refusal
    assert "E009" in refusal


def test_a_bad_file_at_the_start_is_wrong_usage_with_its_place(tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {}) as project:
        project.configuration_file.write_text('{\n  "runtime": {\n    "defaultProvider": \n  }\n}\n')
        output = project.call("demo", code=2)
    assert "agents.config.json:4:" in output
    assert "E004" in output
    assert "Traceback" not in output
