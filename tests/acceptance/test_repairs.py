"""A scripted model that is competent repairs small faults in real repositories, by our tools."""

from __future__ import annotations

import shutil

import pytest

from benchmarks.repairs.model import Way
from benchmarks.repairs.running import repair
from benchmarks.repairs.tasks import Task, tasks

pytestmark = pytest.mark.timeout(120)
CHOSEN = [
    task
    for task in tasks()
    if (task.language, task.name) in {("python", "two files"), ("c", "a wrong entry of a long table")}
]


@pytest.mark.parametrize("task", CHOSEN, ids=lambda task: task.language)
def test_a_fault_is_repaired_and_nothing_else_is_changed(task: Task) -> None:
    if shutil.which(task.command[0]) is None:
        pytest.skip(f"there is no {task.command[0]}")
    result = repair(task, Way.OURS)
    assert result.right, result.reason
    assert result.counted.turns <= 5
