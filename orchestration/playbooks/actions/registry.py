"""All actions, by being imported. Import this where the registry has to be complete."""

from orchestration.playbooks.actions import (
    REGISTRY,
    cleanup,
    configuration,
    document,
    evidence,
    limits,
    ollama,
    people,
    providers,
    runs,
    workers,
)

__all__ = [
    "REGISTRY",
    "cleanup",
    "configuration",
    "document",
    "evidence",
    "limits",
    "ollama",
    "people",
    "providers",
    "runs",
    "workers",
]
