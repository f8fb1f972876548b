"""A provider of one's own, and projects that use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.rehearsal import RehearsalProcess, a_provider


@pytest.fixture
def provider() -> Iterator[RehearsalProcess]:
    """A rehearsal provider in a process of its own; a run on it takes some seconds."""
    with a_provider(latency_ms=6) as one:
        yield one
