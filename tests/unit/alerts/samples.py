"""Small alerts and rules for the tests of pure parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.model import Alert
from orchestration.alerts.rules import AlertRule, SignalSample
from orchestration.alerts.signal import Signal
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def rule(**values: Any) -> AlertRule:
    return AlertRule(
        **{"name": "r", "signal": "s", "scenario": Scenario.WORKFLOW_STUCK, "threshold": 10, "window": 60, **values}
    )


def sample(seconds: float, value: float = 1, **labels: str) -> SignalSample:
    return SignalSample(at(seconds), value, labels)


def signal(seconds: float, value: float = 1, name: str = "s", *, drill: bool = False, **labels: str) -> Signal:
    return Signal(name, at(seconds), value, labels, drill=drill)


def alert(name: str = "a", number: int = 1, *, firing: bool = True, **values: Any) -> Alert:
    labels = values.pop("labels", {"n": str(number)})
    return Alert(
        **{
            "id": f"{name}-{number}",
            "name": name,
            "fingerprint": fingerprint(name, labels),
            "status": AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            "scenario": Scenario.WORKFLOW_STUCK,
            "since": NOON,
            "seen_at": NOON,
            "updated_at": NOON,
            "labels": labels,
            "subject": "x",
            "ends_at": None if firing else NOON,
            **values,
        }
    )
