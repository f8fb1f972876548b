"""A project folder with a good configuration, a database in it, and a store that follows both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestration.clock import Clock, SystemClock
from orchestration.config.loader import ConfigLoader
from orchestration.config.source import ConfigSource
from orchestration.config.store import ConfigurationStore
from orchestration.events import Event, EventBus
from orchestration.security.redaction import Redactor
from orchestration.storage.configuration import ConfigurationVersions, Overrides
from orchestration.storage.database import Database
from tests.support.database import migrated
from tests.support.patience import Stopwatch, until_async


def text(**runtime: Any) -> str:
    providers = {
        "ollama": {"defaultModel": "small"},
        "cloud": {"type": "openai", "defaultModel": "m"},
        "spare": {"type": "openai", "baseUrl": "http://localhost:9/v1", "defaultModel": "m"},
    }
    whole = {"defaultProvider": "ollama", "fallbackProviders": ["spare"], **providers, **runtime}
    return json.dumps({"runtime": whole, "agents": [{"id": "planner"}]}, indent=2)


@dataclass
class Project:
    """The folder, and everything that was said about it."""

    root: Path
    database: Database
    clock: Clock = field(default_factory=SystemClock)
    redactor: Redactor = field(default_factory=Redactor)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = self.root / "config" / "agents.config.json"
        self.env = self.root / ".env"
        self.path.parent.mkdir()
        self.path.write_text(text())
        self.bus = EventBus(self.clock)
        self.bus.subscribe(self.events.append)
        self.versions = ConfigurationVersions(self.database)
        self.overrides = Overrides(self.database)

    def store(self, environment: dict[str, str] | None = None) -> ConfigurationStore:
        loader = ConfigLoader(self.path, self.redactor.find)
        source = ConfigSource(loader, self.env, environment or {}, self.redactor.remember)
        return ConfigurationStore(
            source, clock=self.clock, bus=self.bus, versions=self.versions, overrides=self.overrides
        )

    def said(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    database = migrated(f"sqlite:///{tmp_path}/var/state.db")
    (tmp_path / "project").mkdir()
    yield Project(tmp_path / "project", database)
    database.close()


@asynccontextmanager
async def watching(store: ConfigurationStore) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(store.watch)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait until it holds; how many seconds that took."""
    watch = Stopwatch()
    await until_async(condition, seconds, "never in force")
    return watch.seconds
