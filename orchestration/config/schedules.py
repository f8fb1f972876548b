"""Runs and game days that start on a schedule."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from orchestration.config.section import Identifier, Section


class ScheduleSettings(Section):
    """A run that starts on a schedule; or, with `drills` instead of a goal, a game day: drills by name or scenario, or
    `all`."""

    name: Identifier
    cron: str
    goal: str = ""
    drills: tuple[str, ...] = ()
    time_zone: str = "UTC"
    workspace: str | None = None
    agent: str | None = None
    provider: str | None = None
    priority: Literal["low", "normal", "high"] = "normal"

    @model_validator(mode="after")
    def _has_something_to_do(self) -> ScheduleSettings:
        # Exactly one: a schedule with both would have to decide which comes first, and one with neither starts
        # nothing.
        if bool(self.goal.strip()) == bool(self.drills):
            raise ValueError("a goal, or drills, and not both")
        return self
