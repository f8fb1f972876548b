"""By what a report of usage is grouped."""

from __future__ import annotations

from enum import StrEnum


class UsageGrouping(StrEnum):
    """Whose usage each row of a report is."""

    KEY = "key"
    TEAM = "team"
    AGENT = "agent"
    PROVIDER = "provider"
    MODEL = "model"
    DAY = "day"
