from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.storage.database import Database
from tests.support.database import migrated


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = migrated(f"sqlite:///{tmp_path}/var/orchestrator.db")
    yield database
    database.close()
