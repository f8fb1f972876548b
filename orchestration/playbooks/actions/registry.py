"""All actions: the shipped ones are registered by being imported, those of users when one is first looked up."""

from __future__ import annotations

from collections.abc import Mapping

from orchestration.errors import OrchestratorError
from orchestration.playbooks.actions import (
    REGISTRY,
    AnyAction,
    alert_evidence,
    cleanup,
    code,
    configuration,
    containment,
    credential_rotation,
    database,
    document,
    environments,
    evidence,
    limits,
    ollama,
    outcomes,
    package_update,
    people,
    plugins,
    providers,
    quota_request,
    runs,
    security,
    tool_servers,
    workers,
)

__all__ = [
    "REGISTRY",
    "alert_evidence",
    "cleanup",
    "code",
    "complete",
    "configuration",
    "containment",
    "credential_rotation",
    "database",
    "document",
    "environments",
    "evidence",
    "find_action",
    "find_action_or_none",
    "limits",
    "ollama",
    "outcomes",
    "package_update",
    "people",
    "plugins",
    "providers",
    "quota_request",
    "runs",
    "security",
    "tool_servers",
    "workers",
]


def complete() -> Mapping[str, type[AnyAction]]:
    """Every action by name, those of users included."""
    plugins.load()
    return REGISTRY


def find_action_or_none(name: str) -> type[AnyAction] | None:
    """The action of that name, if there is one."""
    return complete().get(name)


def find_action(name: str) -> type[AnyAction]:
    """The action of that name. Raises OrchestratorError when there is none any more."""
    kind = find_action_or_none(name)
    if kind is None:
        raise OrchestratorError(f"the action {name} does not exist in this release, or its package is gone")
    return kind
