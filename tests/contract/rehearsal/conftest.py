"""A running rehearsal server and a real HTTP client to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest

from orchestration.rehearsal import RehearsalServer
from tests.support.patience import patient


@pytest.fixture
async def server() -> AsyncIterator[RehearsalServer]:
    async with RehearsalServer(latency=0) as running:
        yield running


@pytest.fixture
async def client(server: RehearsalServer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=patient(5)) as connected:
        yield connected
