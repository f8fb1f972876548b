from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/var/orchestrator.db")
    database.migrate()
    yield database
    database.close()
