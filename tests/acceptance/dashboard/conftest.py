from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Opener, chromium, opening


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def opener(browser: Browser) -> Iterator[Opener]:
    with opening(browser) as open_:
        yield open_
