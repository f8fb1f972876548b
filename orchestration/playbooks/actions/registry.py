"""All actions: ours by being imported, the users' when one is first looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.playbooks.actions import (
    REGISTRY,
    Action,
    cleanup,
    configuration,
    containment,
    credential_rotation,
    database,
    document,
    evidence,
    limits,
    ollama,
    package_update,
    people,
    plugins,
    providers,
    runs,
    security,
    workers,
)

__all__ = [
    "REGISTRY",
    "cleanup",
    "complete",
    "configuration",
    "containment",
    "credential_rotation",
    "database",
    "document",
    "evidence",
    "limits",
    "ollama",
    "package_update",
    "people",
    "plugins",
    "providers",
    "runs",
    "security",
    "workers",
]


def complete() -> Mapping[str, type[Action[Any]]]:
    """Every action by name, the users' own too."""
    plugins.load()
    return REGISTRY
