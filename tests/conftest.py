"""What all tests share."""

from __future__ import annotations

import gc
import os
import sys

import pytest
from hypothesis import settings

from orchestration.memory import collect_less_often
from tests.support.postgres import database_url, postgres_server, postgres_url

pytest_plugins = ["tests.support.time_limits", "tests.support.run_report"]

# Images for containers often forbid to write compiled modules. Hundreds of processes would each compile the project.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
collect_less_often()

# A busy machine is slow, not wrong: the time limit of the whole test is enough.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


__all__ = ["database_url", "postgres_server", "postgres_url"]


def pytest_collection_finish() -> None:
    gc.freeze()  # tests and modules stay to the end, so no search for garbage needs to go through them


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
