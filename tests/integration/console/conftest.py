from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.console import ConsoleProject


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    return ConsoleProject(tmp_path / "project")
