"""The sample repository, as it is shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.errors import UsageError
from orchestration.rehearsal import samples
from tests.support.patience import patient


def test_a_copy_has_everything_and_nothing_compiled(tmp_path: Path) -> None:
    sample = samples.copy_to(tmp_path / "work")
    files = {path.relative_to(sample.workspace).as_posix() for path in sample.workspace.rglob("*") if path.is_file()}
    assert {"README.md", "CHANGELOG.md", "docs/backlog.md", "tallybook/money.py", "tests/test_terms.py"} <= files
    assert not [name for name in files if "__pycache__" in name]
    assert "docs/backlog.md" in sample.goal


def test_its_tests_fail_because_of_exactly_the_bugs_in_the_backlog(tmp_path: Path) -> None:
    sample = samples.copy_to(tmp_path)
    command = [sys.executable, "-B", *sample.test_command[1:]]
    result = subprocess.run(
        command, cwd=sample.workspace, capture_output=True, text=True, timeout=patient(60), check=False
    )
    assert result.returncode == 1
    assert [line.split()[1] for line in result.stderr.splitlines() if line.startswith("FAIL:")] == [
        "test_tax_and_due_date_are_those_of_the_tax_office",
        "test_half_a_cent_goes_up",
        "test_more_than_half_a_cent_goes_up",
        "test_a_saturday_moves_to_monday",
    ]
    assert "ERROR:" not in result.stderr


def test_a_folder_in_use_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="empty folder"):
        samples.copy_to(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("keep")
    with pytest.raises(UsageError, match="empty folder"):
        samples.copy_to(tmp_path / "work")
