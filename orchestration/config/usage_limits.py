"""The limits of what a run or an agent may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestration.config.section import PositiveSeconds, Section


class UsageLimits(Section):
    """The most that one run or one agent may use before it is stopped. None means no limit of its own."""

    seconds: PositiveSeconds | None = None
    model_calls: Annotated[int, Field(gt=0)] | None = None
    tokens: Annotated[int, Field(gt=0)] | None = None
    usd: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[int, Field(ge=32)] | None = None
    cpu_seconds: Annotated[int, Field(gt=0)] | None = None
    command_seconds: PositiveSeconds | None = None
    output_bytes: Annotated[int, Field(ge=1024)] | None = None
    disk_mb: Annotated[int, Field(ge=1)] | None = None
    files: Annotated[int, Field(ge=1)] | None = None
