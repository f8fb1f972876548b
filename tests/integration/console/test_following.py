"""Runs followed from a terminal and from pipes: what is shown, and what is left when looking on ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import psutil

from tests.support import prefork
from tests.support.console import COMMAND, ConsoleProject, environment, free_port, stop, wait_for_line


def without_provider(project: ConsoleProject) -> ConsoleProject:
    project.document["runtime"]["ollama"]["host"] = f"http://127.0.0.1:{free_port()}"
    project.document["runtime"]["defaultProvider"] = "ollama"
    project.write()
    return project


def test_without_any_provider_a_run_stops_resumably_and_says_what_to_start(project: ConsoleProject) -> None:
    without_provider(project)
    answer = project.call("run", "x", "--workspace", "work", "--patience", "0.3")
    assert answer.code == 1
    assert "→ ollama: start it with: ollama serve" in answer.out
    assert "go on      orchestrator runs resume run-" in answer.out
    assert "rehearsal" not in answer.out
    assert project.status(the_run(project)) == "stopped"


def test_a_stopped_run_goes_on_when_asked_and_shows_that_it_does(project: ConsoleProject) -> None:
    without_provider(project).call("run", "x", "--workspace", "work", "--patience", "0.3")
    run_id = the_run(project)
    for _ in range(2):
        again = project.call("coordinate", "--patience", "0.3")
        assert f"{run_id}: no provider can answer now" in again.out, "the state comes first"
        assert f"run {run_id} resumed" in again.out
        assert "planner: started: plan" in again.out
    project.document["runtime"]["ollama"] = {"type": "rehearsal", "defaultModel": "rehearsal"}
    project.write()
    done = project.call("runs", "resume", run_id)
    assert (done.code, project.status(run_id)) == (0, "succeeded"), done
    assert "repeated" not in done.out


def test_interrupted_it_leaves_a_resumable_run_and_says_so(project: ConsoleProject) -> None:
    without_provider(project)
    for number in (signal.SIGINT, signal.SIGTERM):
        with project.started("run", "x", "--workspace", "work", "--patience", "60") as process:
            wait_for_line(process, "ollama serve")
            said = stop(process, number)
        assert process.returncode == 130
        assert "stopped: it was interrupted" in said
        assert "orchestrator runs resume run-" in said
        assert "Traceback" not in said
    statuses = [status for (status,) in project.records("SELECT status FROM runs")]
    assert statuses == ["stopped", "stopped"]


def test_a_killed_console_leaves_a_run_that_the_next_takes_over(project: ConsoleProject) -> None:
    without_provider(project)
    with project.started("run", "x", "--workspace", "work", "--patience", "60") as process:
        wait_for_line(process, "ollama serve")
        process.kill()
    assert "resumed" in project.call("coordinate", "--patience", "0.3").out


def test_a_reader_that_goes_away_ends_the_command_quietly(project: ConsoleProject) -> None:
    for arguments in (("config", "show"), ("runs", "list"), ("run", "x", "--workspace", "work")):
        reading, writing = os.pipe()
        os.close(reading)
        command = (*COMMAND, *arguments)
        with prefork.Program(
            command, cwd=project.root, env=environment(), stdout=writing, stderr=subprocess.PIPE
        ) as process:
            os.close(writing)
            _, said = process.communicate()
        assert b"Traceback" not in said
        assert process.returncode in (0, 1)
    assert project.status(the_run(project)) == "stopped"
    assert project.call("runs", "resume", the_run(project)).code == 0


def test_a_pipe_gets_plain_lines_and_a_terminal_the_live_board(project: ConsoleProject) -> None:
    piped = project.call("run", "x", "--workspace", "work")
    assert piped.code == 0
    assert "\x1b" not in piped.out
    assert all(line.isprintable() for line in piped.out.splitlines())
    for width in (40, 120):
        # Otherwise the run would find its work done and change nothing, which is no success.
        (project.root / "work" / "REHEARSAL_NOTES.md").unlink()
        code, shown = project.on_a_terminal("run", "x", "--workspace", "work", width=width)
        assert code == 0
        assert "at work ·" in shown
        board = [line for line in re.split(r"[\r\n]+", strip_codes(shown)) if "at work ·" in line]
        assert max(map(len, board)) <= width
        assert any("rehearsal" in line for line in board)


def test_json_is_all_that_is_printed_when_it_is_asked_for(project: ConsoleProject) -> None:
    for arguments in (
        ("run", "x", "--workspace", "work"),
        ("run", "x", "--workspace", "work", "--queue"),
        ("agents", "run", "planner", "x", "--workspace", "work"),
        ("coordinate", "--patience", "0.3"),
        ("agents", "list"),
        ("runs", "list"),
        ("runs", "show", "latest"),
        ("runs", "steps", "latest"),
        ("status",),
        ("config", "history"),
        ("config", "diff"),
        ("config", "show"),
        ("config", "validate"),
        ("doctor",),
    ):
        answer = project.call(*arguments, "--json")
        assert answer.json() is not None, arguments
        assert "Traceback" not in answer.err


def test_the_help_costs_next_to_nothing() -> None:
    with psutil.Popen((*COMMAND, "--help"), env=environment(), stdout=subprocess.PIPE) as process:
        assert b"serve" in process.stdout.read()
        _, status, use = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert use.ru_utime + use.ru_stime < 0.3


def the_run(project: ConsoleProject) -> str:
    ((run_id,),) = project.records("SELECT id FROM runs")
    return str(run_id)


def strip_codes(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
