"""A real Chromium for tests: installed by apt on Debian when we may, otherwise the tests skip and say so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parents[1] / "assets" / "axe-4.14.1.min.js"
_QUIETLY = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test where there is none and none can be installed."""
    if not Path(CHROMIUM).exists():
        _install()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIETLY))
        try:
            yield browser
        finally:
            browser.close()


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page, one line for each rule and place. The page's own policy forbids foreign
    scripts, so axe comes in through the debugger, which may."""
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [f"{one['id']}: {node['html'][:160]}" for one in found for node in one["nodes"]]


def _install() -> None:
    if os.geteuid() or not shutil.which("apt-get"):
        pytest.skip(f"THE DASHBOARD WAS NOT DRIVEN: there is no {CHROMIUM}, and it cannot be installed here")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", "chromium")):
        done = subprocess.run(["apt-get", *arguments], env=quiet, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"THE DASHBOARD WAS NOT DRIVEN: installing chromium failed: {done.stderr.decode()[-300:]}")
