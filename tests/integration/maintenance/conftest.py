from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.maintenance.backups import BackupStore
from orchestration.maintenance.backups.manifest import BackupDatabases
from orchestration.maintenance.backups.postgres import PostgresDatabase
from orchestration.maintenance.backups.sqlite import SqliteFiles
from orchestration.storage.database import Database
from orchestration.storage.runs import Run, Runs
from tests.support.database import migrated

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@dataclass
class House:
    """A database on disk, its vault, and all that was said."""

    folder: Path
    database: Database
    vault: BackupStore
    clock: FakeClock
    bus: EventBus
    said: list[Event]

    @property
    def file(self) -> Path:
        return self.folder / "orchestrator.db"

    def add_run(self, name: str, **values: Any) -> None:
        Runs(self.database).add(Run(name, "mend it", "/work", NOON, **values))

    def runs(self) -> set[str]:
        return {run.id for run in Runs(self.database).list(limit=1000)}

    def kinds(self) -> list[str]:
        return [event.kind for event in self.said]


@pytest.fixture
def house(tmp_path: Path, database_url: str) -> Iterator[House]:
    """On each kind of database."""
    yield from _house(tmp_path, database_url)


@pytest.fixture
def sqlite_house(tmp_path: Path) -> Iterator[House]:
    yield from _house(tmp_path, f"sqlite:///{tmp_path}/var/orchestrator.db")


def _house(tmp_path: Path, url: str) -> Iterator[House]:
    folder = tmp_path / "var"
    folder.mkdir(exist_ok=True)
    sqlite = sa.make_url(url).get_backend_name() == "sqlite"
    if sqlite:
        url = f"sqlite:///{folder}/orchestrator.db"
    database = migrated(url)
    clock = FakeClock(NOON)
    bus = EventBus(clock)
    said: list[Event] = []
    bus.subscribe(said.append)
    databases: BackupDatabases = PostgresDatabase(url)
    if sqlite:
        databases = SqliteFiles([folder / "orchestrator.db", folder / "engine.db"])
    yield House(
        folder, database, BackupStore(tmp_path / "backups", folder / "restore", databases, clock, bus), clock, bus, said
    )
    database.close()
