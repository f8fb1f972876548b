"""Where an alert stands."""

from __future__ import annotations

from enum import StrEnum


class AlertStatus(StrEnum):
    """Where an alert stands: its condition is being watched, it fires, it is over."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
