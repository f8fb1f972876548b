from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import sqlalchemy as sa

from orchestration.config.overrides import (
    LimitAgent,
    LimitProvider,
    Override,
    OverrideChange,
    PinConfiguration,
    RouteTo,
    SetLogLevel,
    StopAutomation,
    SwitchOffProvider,
)
from orchestration.config.usage_limits import UsageLimits
from orchestration.errors import NotFoundError
from orchestration.storage.configuration import ConfigurationVersions, Overrides
from orchestration.storage.database import Database, StorageError
from orchestration.storage.tables import overrides as table
from tests.integration.config.conftest import Project
from tests.support.database import migrated

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, database_url: str) -> Iterator[Project]:
    """On SQLite and on PostgreSQL."""
    database = migrated(database_url)
    (tmp_path / "project").mkdir()
    yield Project(tmp_path / "project", database)
    database.close()


def make(number: int, change: OverrideChange, lasts: float | None = None) -> Override:
    start = NOW + timedelta(seconds=number)
    fields = {"id": f"o{number}", "change": change.model_dump(), "reason": "r", "actor": "a", "created_at": start}
    return Override.model_validate(
        {**fields, "expires_at": None if lasts is None else start + timedelta(seconds=lasts)}
    )


def test_every_kind_of_override_comes_back_as_it_was(project: Project) -> None:
    changes = [
        PinConfiguration(number=2, document={"runtime": {"ollama": {}}}),
        RouteTo(target="executor", provider="azure"),
        LimitProvider(target="ollama", concurrency=0),
        SwitchOffProvider(target="azure"),
        LimitAgent(target="planner", limits=UsageLimits(seconds=1.5)),
        SetLogLevel(level="DEBUG"),
        StopAutomation(),
    ]
    made = [make(number, change, lasts=60) for number, change in enumerate(changes)]
    for override in reversed(made):
        project.overrides.add(override)
    assert project.overrides.list_active(NOW) == tuple(made)


def test_what_has_ended_or_was_taken_away_is_no_longer_active(project: Project) -> None:
    for number in range(3):
        project.overrides.add(make(number, StopAutomation(), lasts=10 if number == 1 else None))
    project.overrides.remove("o0", NOW)
    assert [override.id for override in project.overrides.list_active(NOW + timedelta(seconds=11))] == ["o2"]


@pytest.mark.parametrize("override_id", ["nobody", "removed", "ended"])
def test_what_is_not_in_force_cannot_be_taken_away(project: Project, override_id: str) -> None:
    project.overrides.add(make(0, StopAutomation()).model_copy(update={"id": "removed"}))
    project.overrides.remove("removed", NOW)
    project.overrides.add(make(0, StopAutomation(), lasts=1).model_copy(update={"id": "ended"}))
    with pytest.raises(NotFoundError, match=override_id):
        project.overrides.remove(override_id, NOW + timedelta(seconds=5))


def test_an_override_of_a_newer_release_is_left_to_it(project: Project) -> None:
    project.overrides.add(make(0, StopAutomation()))
    with project.database.write() as connection:
        connection.execute(sa.update(table).values(kind="of_the_future"))
    project.overrides.add(make(1, SetLogLevel(level="INFO")))
    assert [override.id for override in project.overrides.list_active(NOW)] == ["o1"]


def test_processes_that_load_the_same_text_at_once_keep_one_version(project: Project) -> None:
    text = '{"a": 1}'
    digest = sha256(text.encode()).hexdigest()
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.append(project.versions.add(text, digest, NOW).number))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [1] * 6
    assert [version.loaded_at for version in project.versions.list()] == [NOW]


def test_history_gives_the_newest_first_and_no_more_than_asked(project: Project) -> None:
    for number in range(5):
        project.versions.add(str(number), f"{number:064}", NOW)
    assert [version.text for version in project.versions.list(limit=2)] == ["4", "3"]
    assert project.versions.get(2).text == "1"


def test_a_database_that_cannot_be_used_is_an_error_of_ours(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/empty.db")
    calls = [lambda: ConfigurationVersions(database).list(), lambda: Overrides(database).list_active(NOW)]
    for call in calls:
        with pytest.raises(StorageError, match="history is unavailable"):
            call()
    database.close()
