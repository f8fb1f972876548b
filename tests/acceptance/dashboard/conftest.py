from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.support.browser import Opener, chromium, opening


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """One for all browsers: a second beside it in the same thread is refused."""
    with sync_playwright() as one:
        yield one


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with chromium(playwright) as one:
        yield one


@pytest.fixture
def opener(browser: Browser) -> Iterator[Opener]:
    with opening(browser) as open_:
        yield open_
