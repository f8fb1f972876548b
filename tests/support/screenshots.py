"""Take the pictures of the dashboard that the documentation shows.

`python -m tests.support.screenshots FOLDER` serves a temporary project, fills it with records, carries out one run, and
writes `dashboard-overview.png`, `dashboard-incident.png` and `dashboard-run.png`. With `--full-page` a picture holds
the whole page instead of the first screen. With `--review`, every page is taken, wide and on a telephone, in both
themes, into a folder for each of the four: what to look through before a release.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.support.browser import PHONE, WIDE, Opener, chromium, opening
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.dashboard_records import fill, finished_run
from tests.support.project import ProjectFolder

_MENU = (
    "/runs", "/runs/new", "/incidents", "/alerts", "/on-call", "/providers", "/playbooks",
    "/playbooks/provider-unavailable", "/drills", "/maintenance", "/resources", "/figures", "/usage", "/usage/calls",
    "/configuration", "/audit", "/search?q=executor", "/isolation", "/views",
)  # fmt: skip
_LOOKS = {
    f"{name}-{theme}": {**screen, "color_scheme": theme}
    for name, screen in (("wide", WIDE), ("phone", PHONE))
    for theme in ("light", "dark")
}


def take_screenshots(folder: Path, *, full_page: bool = False, review: bool = False) -> list[Path]:
    """Write one PNG for each page, and return their paths."""
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as project,
        a_dashboard(ProjectFolder(Path(project), {}).configuration_file) as dashboard,
        sync_playwright() as playwright,
        chromium(playwright) as browser,
        opening(browser) as open_page,
    ):
        pages = _fill(dashboard)
        if not review:
            return _take(open_page, dashboard.url, pages, folder, WIDE, full_page=full_page)
        pages |= {path.partition("?")[0].strip("/").replace("/", "-"): path for path in _MENU}
        return [
            file
            for look, screen in _LOOKS.items()
            for file in _take(open_page, dashboard.url, pages, folder / look, screen, full_page=full_page)
        ]


def _fill(dashboard: Dashboard) -> dict[str, str]:
    """Fill the project; returns the paths of the three pages."""
    incidents = fill(dashboard.app)
    finished_run(dashboard.app)
    run = dashboard.begin_run()
    dashboard.wait_for(run, "succeeded")
    return {"overview": "/", "incident": f"/incidents/{incidents['taken'].id}", "run": f"/runs/{run.id}"}


def _take(
    open_page: Opener, url: str, pages: Mapping[str, str], folder: Path, screen: Mapping[str, Any], *, full_page: bool
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(url, "/", screen)
    return [_picture(page, path, folder / f"dashboard-{name}.png", full_page) for name, path in pages.items()]


def _picture(page: Page, path: str, file: Path, full_page: bool) -> Path:
    page.goto(path)
    page.locator("main").wait_for()
    page.screenshot(path=file, full_page=full_page, animations="disabled")
    return file


def main() -> None:
    """Take the pictures that the command line asks for."""
    parser = argparse.ArgumentParser(description="Take the documentation's pictures of the dashboard.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--full-page", action="store_true", help="the whole page, not only its first screen")
    parser.add_argument("--review", action="store_true", help="every page, wide and on a telephone, in both themes")
    chosen = parser.parse_args()
    for file in take_screenshots(chosen.folder, full_page=chosen.full_page, review=chosen.review):
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
