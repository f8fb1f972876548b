"""A worker's process, and what it shows in the list of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.agents import process_title, worker

SCRIPT = """
from pathlib import Path
from orchestration.agents import process_title

def main(*words):
    assert process_title.show(words[0])
    print(Path("/proc/self/cmdline").read_bytes().decode().replace("\\0", "|"))
    return 7
"""


def shown(tmp_path: Path, text: str) -> tuple[int, list[str]]:
    (tmp_path / "entry.py").write_text(SCRIPT, encoding="utf-8")
    path = f"{Path(__file__).parents[3]}:{tmp_path}"
    done = subprocess.run(
        worker.command("entry:main", text), env={"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout.strip("\n").split("|")


def test_a_worker_calls_what_the_command_line_names_and_shows_what_it_runs(tmp_path: Path) -> None:
    code, words = shown(tmp_path, "planner of run-1")
    assert code == 7
    assert words[:5] == [sys.executable, "-m", "orchestration.agents.worker", "entry:main", "planner of run-1"]
    assert words[5].rstrip() == "--runs=planner of run-1"


@pytest.mark.parametrize("text", ["x" * 1000, "ümläut → €", ""])
def test_whatever_it_shows_nothing_else_of_the_command_line_changes(tmp_path: Path, text: str) -> None:
    _, words = shown(tmp_path, text)
    assert words[:5] == [sys.executable, "-m", "orchestration.agents.worker", "entry:main", text]
    reserved = len(process_title.reserved_argument())
    assert len(words[5]) == reserved
    assert words[5].startswith(("--runs=" + text.encode("ascii", "replace").decode())[:reserved])


def test_a_process_without_room_for_it_shows_nothing_and_goes_on() -> None:
    assert process_title.show("anything") is False
