"""All actions, by being imported. Import this where the registry has to be complete."""

from orchestration.playbooks.actions import (
    REGISTRY,
    cleanup,
    configuration,
    containment,
    database,
    document,
    evidence,
    limits,
    ollama,
    people,
    providers,
    rotation,
    runs,
    security,
    updating,
    workers,
)

__all__ = [
    "REGISTRY",
    "cleanup",
    "configuration",
    "containment",
    "database",
    "document",
    "evidence",
    "limits",
    "ollama",
    "people",
    "providers",
    "rotation",
    "runs",
    "security",
    "updating",
    "workers",
]
