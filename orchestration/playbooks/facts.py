"""What is known while a playbook runs: the incident, and what each step has found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.errors import OrchestratorError


class UnknownFactError(OrchestratorError):
    """A step refers to an unknown fact. An unknown target is refused; it never means everything."""


class KnownFacts(Mapping[str, Any]):
    """Facts by dotted name: `incident.severity`, `probe.down`. Later findings of a step replace its earlier ones."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._facts = dict(start)

    def __getitem__(self, name: str) -> Any:
        return self._facts[name]

    def __iter__(self) -> Any:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def learn(self, step: str, findings: Mapping[str, Any]) -> None:
        """Add the findings of a step."""
        for name, value in findings.items():
            self._facts[f"{step}.{name}"] = value

    def resolve(self, value: Any) -> Any:
        """A parameter with every `$name` in it replaced by its value. Raises UnknownFactError."""
        # A reference is a whole value and never a part of a text, so that nothing that was found can be
        # spliced into a command.
        if isinstance(value, str) and value.startswith("$"):
            return self._named(value[1:])
        if isinstance(value, Mapping):
            return {key: self.resolve(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.resolve(inner) for inner in value]
        return value

    def _named(self, name: str) -> Any:
        if name not in self._facts:
            raise UnknownFactError(f"expected '{name}' to be known by now, got nothing: no earlier step has found it")
        return self._facts[name]
