"""What a run or an agent may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from orchestration.declarations.sections import camel


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that a run or one agent may use before it is stopped; None is no limit of its own.

    The first four are checked before each model call; the others limit each command and each function of yours.
    """

    seconds: float | None = None
    model_calls: int | None = None
    tokens: int | None = None
    usd: float | None = None
    memory_mb: int | None = None
    cpu_seconds: int | None = None
    command_seconds: float | None = None
    output_bytes: int | None = None
    disk_mb: int | None = None
    files: int | None = None

    def section(self) -> dict[str, Any]:
        """The limits as the configuration has them."""
        return {camel(name): value for name, value in asdict(self).items() if value is not None}
