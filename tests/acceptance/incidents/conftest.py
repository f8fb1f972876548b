"""A provider of one's own, and a project around it under `orchestrator serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import provider_at
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.watched import PROBED_SOON, Watched, a_watched_project

Watch = Callable[..., AbstractContextManager[Watched]]


@pytest.fixture
def provider() -> Iterator[RehearsalProcess]:
    """A rehearsal provider in a process of its own; a run on it takes some seconds."""
    with a_provider(latency_ms=6) as one:
        yield one


@pytest.fixture
def watch(provider: RehearsalProcess, tmp_path: Path) -> Watch:
    """A watched project that has this provider alone, with changes in sections of its configuration."""

    def begin(**changes: Any) -> AbstractContextManager[Watched]:
        return a_watched_project(tmp_path / "p", {"first": provider_at(provider.url, breaker=PROBED_SOON)}, **changes)

    return begin
