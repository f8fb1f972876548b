"""Servers of vendors and a database, for gateways."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestration.storage.database import Database
from tests.support.gateway import Desk, configuration
from tests.support.vendor import Vendor, vendor


@pytest.fixture
async def first() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture
async def second() -> AsyncIterator[Vendor]:
    async with vendor() as running:
        yield running


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with tables; making them takes longer than a test."""
    path = tmp_path_factory.mktemp("template") / "orchestrator.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(template, tmp_path / "orchestrator.db")
    database = Database(f"sqlite:///{tmp_path / 'orchestrator.db'}")
    yield database
    database.close()


MakeDesk = Callable[..., Desk]


@pytest.fixture
async def make_desk() -> AsyncIterator[MakeDesk]:
    """Makes gateways whose background tasks do not run, and closes their connections in the end."""
    made: list[Desk] = []

    def make(providers: dict[str, dict[str, Any]], *, desk: dict[str, Any] | None = None, **runtime: Any) -> Desk:
        made.append(Desk(configuration(providers, **runtime), **(desk or {})))
        return made[-1]

    yield make
    for one in made:
        await one.gateway._routes.aclose()
