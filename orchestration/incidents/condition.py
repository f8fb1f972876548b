"""The conditions of an incident: the groups of alerts that it is about, and whether each still fires. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ConditionStatus(StrEnum):
    """What is known of a group of alerts. Only `cleared` is proof that it is gone."""

    FIRING = "firing"
    CLEARED = "cleared"
    """Observed to be gone, at its source."""
    SILENT = "silent"
    """Nothing was observed any more, neither that it holds nor that it is gone."""


@dataclass(frozen=True, slots=True)
class IncidentCondition:
    """One group of alerts, by its status and the moment since which it has had it."""

    status: ConditionStatus
    since: datetime

    @property
    def fires(self) -> bool:
        """Whether its alerts still fire."""
        return self.status is ConditionStatus.FIRING
