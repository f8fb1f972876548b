"""Our own process is killed in the middle of a run, once and again."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.support.engine_rows import committed_steps
from tests.support.patience import patient
from tests.support.project import ProjectFolder, a_project, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess

# Two executors work side by side; each may be in the middle of a model call that has to be made again.
_AGENTS_AT_ONCE = 2


def kill_and_resume(project: ProjectFolder, provider: RehearsalProcess, moments: list[int]) -> str:
    """Kill the run when the provider was called so often, resume it, and so on; returns what the last one printed."""
    command = project.start_run()
    for moment in moments:
        provider.wait_for_calls(moment)
        command.kill()
        command = project.start("runs", "resume", "latest")
    assert command.wait() == 0, command.output
    return command.output


def check_that_nothing_was_lost_or_paid_for_twice(
    project: ProjectFolder, provider: RehearsalProcess, database: Path | str, kills: int
) -> None:
    run = project.show()
    assert (run["status"], run["outcome"]["verdict"]) == ("succeeded", "approved")
    assert run["steps"]["committed_repeated"] == 0
    calls = provider.calls()
    assert len(calls) <= committed_steps(database, run["id"]) + kills * _AGENTS_AT_ONCE
    assert len(calls) - len({call["fingerprint"] for call in calls}) <= kills * _AGENTS_AT_ONCE


@pytest.mark.parametrize("moments", [[2], [9], [4, 12, 20]], ids=["planning", "executing", "three times"])
def test_the_run_goes_on_from_its_last_committed_steps(
    provider: RehearsalProcess, tmp_path: Path, moments: list[int]
) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        kill_and_resume(project, provider, moments)
        database = project.root / "var" / "engine.db"
        check_that_nothing_was_lost_or_paid_for_twice(project, provider, database, len(moments))


def test_the_same_on_postgresql(provider: RehearsalProcess, tmp_path: Path, postgres_url: str) -> None:
    providers = {"first": provider_at(provider.url)}
    with a_project(tmp_path / "p", providers, databaseUrlEnv="DATABASE_URL") as project:
        project.write_env(DATABASE_URL=postgres_url)
        kill_and_resume(project, provider, [9])
        check_that_nothing_was_lost_or_paid_for_twice(project, provider, postgres_url, 1)
        assert not list(project.root.glob("var/*.db"))


def test_an_approval_that_is_waited_for_survives(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run("--approve", "executor")
        command.wait_for("waits for approval: may executor start?")
        command.kill()
        asked = len(provider.calls())
        (question,) = project.show()["questions"]
        assert question["question"] == "may executor start?"

        project.call("runs", "approve", "latest", "--reason", "looks right")
        project.call("runs", "resume", "latest")
        assert project.show()["status"] == "succeeded"
        assert [call["role"] for call in provider.calls()].count("planner") == asked


def test_a_command_that_an_agent_ran_dies_with_us(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run("--check", "sleep 61.25")
        sleeping = wait_until(lambda: processes("sleep", "61.25"), "for the check to run")
        command.kill()
        psutil.wait_procs(sleeping, timeout=patient(5))
        assert processes("sleep", "61.25") == []


def processes(*words: str) -> list[psutil.Process]:
    """The processes that run exactly this."""
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == list(words)]
