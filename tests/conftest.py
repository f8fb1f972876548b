"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support.postgres import database_url, postgres_server, postgres_url

pytest_plugins = ["tests.support.time_limits"]

# A busy machine is slow, not wrong: the time limit of the whole test is enough.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


__all__ = ["database_url", "postgres_server", "postgres_url"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
