"""What the map of the code names is there: every path and every dotted name of the pages for people who change it."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.project import ROOT

PAGES = [ROOT / "docs" / "explanation" / "architecture.md", ROOT / "CONTRIBUTING.md"]
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"(?:orchestration|tests|docs|config|deploy|benchmarks)/[\w./*-]*")
_DOTTED = re.compile(r"[a-z_]+(?:\.[A-Za-z_]+)+")
_PACKAGES = {path.stem for path in (ROOT / "orchestration").iterdir()} - {"__init__", "__main__", "__pycache__"}


def quoted(page: Path) -> list[str]:
    """What stands in backticks outside of blocks, and in the texts of a diagram."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return _CODE.findall(text)


def resolve(name: str) -> Any:
    """The object of a dotted name below `orchestration`, such as `incidents.service.IncidentService`."""
    parts = name.removeprefix("orchestration.").split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(["orchestration", *parts[:count]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_is_there(page: Path) -> None:
    paths = [text for text in quoted(page) if _FILE.fullmatch(text)]
    assert paths
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []


def test_every_dotted_name_is_there() -> None:
    names = {
        text
        for page in PAGES
        for text in quoted(page)
        if _DOTTED.fullmatch(text) and text.split(".")[0] in {"orchestration", *_PACKAGES} and not text.endswith(".md")
    }
    missing = []
    for name in sorted(names):
        try:
            resolve(name)
        except (ModuleNotFoundError, AttributeError):
            missing.append(name)
    assert missing == []


def test_every_package_is_on_the_map() -> None:
    page = PAGES[0].read_text(encoding="utf-8")
    packages = {path.name for path in (ROOT / "orchestration").iterdir() if (path / "__init__.py").exists()}
    assert {package for package in packages if f"`{package}`" not in page} == set()


def test_the_forge_runs_what_the_readme_says() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["./run test"]
    assert "$ ./run test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_hooks_before_a_commit_use_tools_that_are_installed_and_fetch_nothing() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]
    for hook in hooks["repos"][0]["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/").replace("lint-imports", "import-linter")
        assert f"\n{tool}==" in requirements, tool
        assert hook["language"] == "system"
