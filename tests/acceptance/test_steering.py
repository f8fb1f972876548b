"""What people do to a run, each from a process of its own."""

from __future__ import annotations

from pathlib import Path

from tests.faults.test_process_killed import processes
from tests.support.patience import Stopwatch
from tests.support.project import a_project, provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess

# Cancelling promises a second; the rest is for the other process to notice, say so and leave.
_STOPS_WITHIN = 2.0


def test_cancelling_stops_a_model_call_that_hangs(provider: RehearsalProcess, tmp_path: Path) -> None:
    provider.set_fault("hang", match={"role": "executor"})
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run()
        wait_until(lambda: any(call["fault"] == "hang" for call in provider.calls()), "for a call that hangs")
        project.call("runs", "cancel", "latest", "--reason", "wrong goal")
        told = Stopwatch()
        assert command.wait() == 1
        assert told.is_within(_STOPS_WITHIN), told
        run = project.show()
    assert (run["status"], run["reason"]) == ("cancelled", "wrong goal")
    assert f"orchestrator runs resume {run['id']}" in command.output


def test_cancelling_stops_a_running_command_and_resuming_goes_on(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        flag = tmp_path / "go"
        waiting = ["sh", "-c", f"test -e {flag} || sleep 61.5"]
        command = project.start_run("--check", f"sh -c '{waiting[2]}'")
        wait_until(lambda: processes("sleep", "61.5"), "for the check to run")
        project.call("runs", "cancel", "latest")
        told = Stopwatch()
        wait_until(lambda: not processes("sleep", "61.5"), "for the command to end", _STOPS_WITHIN)
        assert command.wait() == 1
        assert told.is_within(_STOPS_WITHIN), told

        asked = len(provider.calls())
        flag.touch()
        project.call("runs", "resume", "latest")
        assert project.show()["status"] == "succeeded"
        assert [call["role"] for call in provider.calls()[:asked]].count("planner") == 3
        assert [call["role"] for call in provider.calls()[asked:]].count("planner") == 0


def test_a_run_that_is_being_worked_on_is_not_taken_over(provider: RehearsalProcess, tmp_path: Path) -> None:
    provider.set_fault("hang", match={"role": "planner"})
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        project.start_run()
        provider.wait_for_calls(1)
        assert "is working on" in project.call("runs", "resume", "latest", code=1)
        assert len(provider.calls()) == 1


def test_a_fork_shares_what_came_before_and_leaves_the_first_run_alone(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        assert project.start_run().wait() == 0
        first = project.show()
        asked = len(provider.calls())
        parts = {
            part["part"].rpartition(".")[2]: part["number"] for part in project.call_json("runs", "steps", "latest")
        }
        fork = project.call_json("runs", "fork", first["id"], "--from", str(parts["reviewer"]))
        roles = [call["role"] for call in provider.calls()[asked:]]
    assert (fork["status"], fork["origin"]) == ("succeeded", f"fork of {first['id']} at {parts['reviewer']}")
    assert fork["workspace"] != first["workspace"]
    assert roles[0] == "reviewer"
    assert "planner" not in roles
    assert len(roles) < asked / 2
    assert Path(fork["workspace"], "tests", "test_credit_notes.py").exists()


def test_a_refusal_ends_the_run_before_anything_was_changed(provider: RehearsalProcess, tmp_path: Path) -> None:
    with a_project(tmp_path / "p", {"first": provider_at(provider.url)}) as project:
        command = project.start_run("--approve", "executor")
        command.wait_for("waits for approval")
        project.call("runs", "deny", "latest", "--reason", "too early")
        assert command.wait() == 1
        run = project.show()
    assert run["status"] == "not-approved"
    assert "too early" in run["reason"]
    assert {call["role"] for call in provider.calls()} == {"planner"}
