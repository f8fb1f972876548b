"""A program that is killed with SIGKILL in the middle of a run, and started again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support import prefork
from tests.support.patience import patient
from tests.support.project import ROOT, wait_until

_PROGRAM = Path(__file__).with_name("killed_program.py")


def start(folder: Path) -> prefork.Program:
    return prefork.Program(
        [sys.executable, str(_PROGRAM), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def notes(folder: Path) -> list[str]:
    file = folder / "work" / "notes"
    return file.read_text().splitlines() if file.exists() else []


def test_the_same_program_goes_on_with_its_run_and_repeats_neither_step_nor_effect(tmp_path: Path) -> None:
    program = start(tmp_path)
    wait_until(lambda: notes(tmp_path) == ["first", "transfer 5"], "for the tool to begin")
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=patient(10))
    (tmp_path / "work" / "go").touch()
    out, errors = start(tmp_path).communicate(timeout=patient(60))
    assert notes(tmp_path) == ["first", "transfer 5"], errors
    assert "succeeded" in out
    assert "transfer: the process that made this call died in the middle of it" in out
    assert len(list((tmp_path / "artifacts").iterdir())) == 1
