"""The documentation as a site: it builds without a warning, shows every page, and fetches nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import patient
from tests.support.project import ROOT

_SETTINGS = ROOT / "zensical.toml"
# What a browser loads by itself, as opposed to a link that somebody follows.
_LOADED = re.compile(r"""<(?:script|img|iframe)[^>]+src=["']?(https?://[^"' >]+)|<link[^>]+rel=["']?(?:stylesheet|preconnect)[^>]+href=["']?(https?://[^"' >]+)""")  # fmt: skip  # noqa: E501


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with broken links as errors."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(_SETTINGS, folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    command = [str(Path(sys.executable).with_name("zensical")), "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=patient(60))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def pages_of(entries: Any) -> list[str]:
    """The files that a navigation leads to."""
    if isinstance(entries, str):
        return [entries]
    values = entries.values() if isinstance(entries, dict) else entries
    return [page for value in values for page in pages_of(value)]


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = pages_of(tomllib.loads(_SETTINGS.read_text(encoding="utf-8"))["project"]["nav"])
    pages = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(navigation) == sorted(pages)


def test_it_builds_with_broken_links_as_errors_and_holds_every_page(site: Path) -> None:
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    assert [str(page) for page in pages if not (site / page).exists()] == []


def test_a_reader_fetches_nothing_from_elsewhere(site: Path) -> None:
    loaded = {match[0] for page in site.rglob("*.html") for match in _LOADED.finditer(page.read_text(encoding="utf-8"))}
    assert loaded == set()
