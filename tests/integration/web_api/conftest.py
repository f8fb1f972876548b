from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.web import RunningWebServer, a_web_server


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWebServer]:
    """One for all tests here that leave it as they found it: it takes seconds to start."""
    with a_web_server(tmp_path_factory.mktemp("web") / "project") as found:
        yield found


@pytest.fixture
def server(running: RunningWebServer) -> Iterator[RunningWebServer]:
    """The server; the test's clients end with the test."""
    yield running
    running.close_clients()
