"""The alert about a heartbeat, as the inbox takes it. Pure."""

from __future__ import annotations

from datetime import datetime

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.heartbeats.state import HeartbeatJudgement, HeartbeatStatus
from orchestration.alerts.inbound import InboundAlert
from orchestration.config.alerting import HeartbeatSettings
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow

NAME = "HeartbeatMissed"
# Stored with each alert, so it must never change.
SOURCE = "heartbeat"
_LONGEST_OUTPUT = 500


def firing(row: HeartbeatMonitorRow, settings: HeartbeatSettings, found: HeartbeatJudgement) -> InboundAlert:
    """It is late, or has failed."""
    title = f"Heartbeat {row.name} has failed" if found.status is HeartbeatStatus.FAILED else _late_title(row)
    return InboundAlert(
        name=NAME,
        fingerprint=fingerprint(NAME, {"heartbeat": row.name}),
        firing=True,
        at=found.since,
        labels=_labels(row.name),
        title=title,
        summary=_summary(row, settings, found),
        severity=settings.severity,
        details={"runbook_url": settings.runbook} if settings.runbook else {},
    )


def resolved(name: str, settings: HeartbeatSettings | None, now: datetime) -> InboundAlert:
    """It was heard again, or is not expected any more."""
    return InboundAlert(
        name=NAME,
        fingerprint=fingerprint(NAME, {"heartbeat": name}),
        firing=False,
        at=now,
        labels=_labels(name),
        title=f"Heartbeat {name} is late",
        summary="it was heard again" if settings else "it is not expected any more",
        severity=settings.severity if settings else HeartbeatSettings().severity,
    )


def expectation(settings: HeartbeatSettings) -> str:
    """How often it is expected."""
    if settings.period is None:
        return f"expected at '{settings.cron}' ({settings.time_zone}), {settings.grace:g} s later at most"
    return f"expected every {settings.period:g} s, {settings.grace:g} s later at most"


def _labels(name: str) -> dict[str, str]:
    return {"heartbeat": name, "subject": f"heartbeat {name}"}


def _late_title(row: HeartbeatMonitorRow) -> str:
    if row.started_at is not None:
        return f"Heartbeat {row.name} has started and not ended"
    return f"Heartbeat {row.name} is late"


def _summary(row: HeartbeatMonitorRow, settings: HeartbeatSettings, found: HeartbeatJudgement) -> str:
    heard = f"last heard {row.heard_at:%Y-%m-%d %H:%M:%S} UTC" if row.heard_at else "never heard"
    parts = [f"{expectation(settings)}; {heard}"]
    if found.status is HeartbeatStatus.FAILED:
        code = "" if row.exit_code is None else f" with exit status {row.exit_code}"
        parts.append(f"failed at {found.since:%Y-%m-%d %H:%M:%S} UTC{code}")
        if row.detail:
            parts.append(f"it said: {row.detail[-_LONGEST_OUTPUT:]}")
    if settings.description:
        parts.append(settings.description)
    return "\n".join(parts)
