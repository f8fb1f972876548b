"""How a run has come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.errors import OrchestratorError

_SUCCEEDED = "succeeded"


class RunFailedError(OrchestratorError):
    """A run did not succeed; `result` has all that it left."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(
            f"The run {result.id} ended as {result.status}: {result.reason or 'no reason was recorded'}. "
            f"Its timeline: `orchestrator runs show {result.id}`."
        )
        self.result = result


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended or, as `stopped`, cannot go on now. `documents` are the texts that its agents delivered, by
    name; `outcome` is what was recorded of its end, such as what it used."""

    id: str
    goal: str
    status: str
    reason: str
    documents: Mapping[str, str]
    outcome: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.status == _SUCCEEDED

    def raise_unless_ok(self) -> RunResult:
        """The result itself. Raises RunFailedError for any other end than success."""
        if not self.ok:
            raise RunFailedError(self)
        return self
