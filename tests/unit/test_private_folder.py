from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestration.private_folder import make_private_folder


def test_what_is_missing_is_made_for_its_owner_and_the_rest_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    umask = os.umask(0)
    try:
        make_private_folder(tmp_path / "var" / "worktrees")
        make_private_folder(tmp_path / "var" / "worktrees")
    finally:
        os.umask(umask)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "var", tmp_path / "var" / "worktrees")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    with pytest.raises(OSError, match="var"):
        make_private_folder(tmp_path / "var")
