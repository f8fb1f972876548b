from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.web import WebServer, a_web_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """One for all tests here that leave it as they found it: it takes seconds to start."""
    with a_web_server(tmp_path_factory.mktemp("web") / "project") as running:
        yield running
