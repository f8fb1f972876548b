"""A small configuration without any finding, which a test then spoils."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.loader import ConfigLoader, LoadedConfiguration

GOOD: dict[str, Any] = {
    "runtime": {
        "defaultProvider": "ollama",
        "fallbackProviders": ["openai"],
        "ollama": {"host": "http://localhost:11434", "defaultModel": "small"},
        "openai": {"baseUrl": "http://127.0.0.1:8000/v1", "defaultModel": "m"},
    },
    "agents": [
        {"id": "planner", "tools": ["read_file"], "outputs": ["plan.md"]},
        {"id": "executor", "requires": ["plan.md"], "outputs": ["changes.patch"]},
        {"id": "reviewer", "requires": ["plan.md", "changes.patch"], "outputs": ["review.md"]},
    ],
    "workflow": [
        {"from": "planner", "to": "executor", "artifact": "plan.md"},
        {"from": "executor", "to": "reviewer", "artifact": "changes.patch"},
    ],
}

Change = Callable[[dict[str, Any]], object]
Judge = Callable[..., LoadedConfiguration]


@pytest.fixture
def good() -> dict[str, Any]:
    return copy.deepcopy(GOOD)


@pytest.fixture
def judge(tmp_path: Path, good: dict[str, Any]) -> Judge:
    """Judge the good configuration with a change in it."""

    def judge(change: Change = lambda _: None, variables: tuple[str, ...] = ()) -> LoadedConfiguration:
        change(good)
        return ConfigLoader(tmp_path / "config" / "agents.config.json").parse(json.dumps(good, indent=1), variables)

    return judge
