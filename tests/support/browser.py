"""A real Chromium for tests, with a wide and a small screen; where there is none the tests skip and say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect

from tests.support.patience import patient

WIDE: Mapping[str, Any] = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}
PHONE: Mapping[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True}
SCREENS = pytest.mark.parametrize("screen", [WIDE, PHONE], ids=["wide-light", "phone-dark"])

# Opens a path of a server: (its address, the path, the screen).
Opener = Callable[..., Page]

# Renders pages as the browser does, and spends half as much on it; there are no push messages.
SHELL = "/usr/bin/chromium-headless-shell"
CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parents[1] / "assets" / "axe-4.14.1.min.js"
_QUIETLY = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium(playwright: Playwright, program: str = SHELL) -> Iterator[Browser]:
    """The browser; skips the test where there is none."""
    if not Path(program).exists():
        pytest.skip(f"THE DASHBOARD WAS NOT DRIVEN: there is no {program}; as root: python -m tests.support.debian")
    expect.set_options(timeout=patient(10) * 1000)
    browser = playwright.chromium.launch(executable_path=program, args=list(_QUIETLY))
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def opening(browser: Browser) -> Iterator[Opener]:
    """Opens pages, each in a context of its own. At the end: nothing may have broken the policy, or gone wrong in a
    script."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # By the tests that break the stream, that end a session, and that subscribe in a context without a profile.
        provoked = any(text in message.text for text in ("503", "401", "does not support the Push API"))
        if message.type in ("error", "warning") and not provoked:
            complaints.append(message.text)

    def open_(address: str, path: str, screen: Mapping[str, Any] = WIDE, **options: Any) -> Page:
        contexts.append(browser.new_context(base_url=address, **screen, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(patient(15) * 1000)
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == [], complaints


def has_not_moved(page: Page) -> bool:
    """Whether the page is still the document that `mark` saw: it was brought up to date, not loaded again."""
    return bool(page.evaluate("window.marked === true"))


def mark(page: Page) -> None:
    """Mark the document, once it is live."""
    page.evaluate("window.marked = true")
    expect(page.locator("#stream")).to_have_text("live")


def violations(page: Page, **options: Any) -> list[str]:
    """What axe finds wrong with a page, one line for each rule and place; `options` are those of `axe.run`. The page's
    own policy forbids foreign scripts, so axe comes in through the debugger, which may."""
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    asked = {"resultTypes": ["violations"], **options}
    found = page.evaluate("async (asked) => (await axe.run(document, asked)).violations", asked)
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]
