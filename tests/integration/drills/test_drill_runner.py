"""A drill that cannot be held is a result that says why, and leaves nothing behind."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.clock import SystemClock
from orchestration.drills import catalogue, runner
from orchestration.drills.disk import small_disk
from orchestration.drills.model import Drill
from orchestration.drills.processes import DrillError
from orchestration.drills.project import provider
from orchestration.drills.setup import DrillSetting

DRILL = catalogue.find(["provider-killed"])[0]


def broken() -> Drill:
    """Its configuration is refused, so that nothing can be served."""
    setting = DrillSetting(providers=("primary",), configuration={"runtime": {"primary": provider("nonsense")}})
    return replace(DRILL, setting=setting)


async def test_what_kept_a_drill_from_being_held_is_told(tmp_path: Path) -> None:
    result = await runner.run_drill(broken(), SystemClock(), keep=tmp_path)
    assert not result.passed
    assert "E012" in result.seen.problem
    assert result.misses[0].what == "drill"
    assert _listening_in(tmp_path) == []


def _listening_in(folder: Path) -> list[str]:
    """Processes that still run in a folder below this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(folder):
            found.append(str(where))
    return found


def test_a_small_disk_is_small_and_goes_away(tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path, 8):
            (tmp_path / "here").write_text("x")
            used = subprocess.run(["df", "-m", str(tmp_path)], capture_output=True, text=True, check=True).stdout
            assert used.splitlines()[-1].split()[1] == "8"
    except DrillError as error:
        pytest.skip(f"no file system of one's own here: {error}")
    assert not (tmp_path / "here").exists()
