"""Packages installed for the length of one test, and the code in our how-tos about them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.project import ROOT


@contextmanager
def site_packages(folder: Path, monkeypatch: pytest.MonkeyPatch, *registries: Callable[[], object]) -> Iterator[Path]:
    """A folder from which packages are imported. `registries` are the cached loaders that must search again."""
    before = set(sys.modules)
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget(*registries)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("own_", "broken_")):
            del sys.modules[name]
    forget(*registries)


def forget(*registries: Callable[[], object]) -> None:
    for registry in registries:
        registry.cache_clear()  # type: ignore[attr-defined]


def install(site: Path, group: str, module: str, code: str, entry: str, name: str = "one") -> None:
    """Leave behind what an installer would: a module, and its package's metadata."""
    (site / f"{module}.py").write_text(code, encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {entry}\n")


def how_to(name: str) -> str:
    return (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page, in one language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
