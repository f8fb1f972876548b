from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.app.doctor import CheckStatus, machine

NOW = datetime(2026, 1, 5, tzinfo=UTC)
GIGABYTE = 1_073_741_824


@pytest.mark.parametrize(
    ("free", "total", "health"),
    [
        (50 * GIGABYTE, 100 * GIGABYTE, CheckStatus.OK),
        (10 * GIGABYTE, 100 * GIGABYTE, CheckStatus.OK),
        (9 * GIGABYTE, 100 * GIGABYTE, CheckStatus.WARNING),
        (100 * 1_048_576, GIGABYTE, CheckStatus.PROBLEM),
        (0, 0, CheckStatus.PROBLEM),
    ],
)
def test_disk_space_is_judged_by_the_threshold_and_by_what_is_really_left(
    free: int, total: int, health: CheckStatus
) -> None:
    assert machine.disk(free, total, 10).health is health


def test_versions_that_are_too_old_are_problems() -> None:
    assert machine.python((3, 10)).health is CheckStatus.PROBLEM
    assert machine.python((3, 11)).health is CheckStatus.OK
    assert machine.sqlite((3, 34, 9)).health is CheckStatus.PROBLEM
    assert machine.sqlite((3, 35, 0)).health is CheckStatus.OK
    assert machine.git(None).advice == "install it: apt-get install git"


def test_a_clock_before_what_was_written_is_a_problem_and_a_little_difference_is_not() -> None:
    file = Path("var/orchestrator.db")
    assert machine.clock(NOW, None).health is CheckStatus.OK
    assert machine.clock(NOW, (file, NOW + timedelta(minutes=4))).health is CheckStatus.OK
    late = machine.clock(NOW, (file, NOW + timedelta(hours=1)))
    assert (late.health, "var/orchestrator.db was written at 2026-01-05 01:00:00" in late.found) == (
        CheckStatus.PROBLEM, True
    )  # fmt: skip


def test_a_folder_is_tried_where_it_is_there_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    assert machine.folder("stateDirectory", tmp_path / "var" / "deep").health is CheckStatus.OK
    assert machine.folder("stateDirectory", tmp_path).health is CheckStatus.OK
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    wrong = machine.folder("stateDirectory", tmp_path / "file" / "below")
    assert (wrong.health, "runtime.stateDirectory" in wrong.advice) == (CheckStatus.PROBLEM, True)


def test_a_log_that_is_a_folder_is_a_problem(tmp_path: Path) -> None:
    assert machine.log(tmp_path).health is CheckStatus.PROBLEM
    assert machine.log(tmp_path / "orchestrator.log").health is CheckStatus.OK
