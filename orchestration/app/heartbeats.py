"""The heartbeats of a project as people see them: on the console, over the API, on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.alerts.heartbeats.alerts import expectation
from orchestration.alerts.heartbeats.state import HeartbeatStatus, judge
from orchestration.app.project import ProjectRecords
from orchestration.domain.severity import Severity
from orchestration.storage.heartbeat_monitors import HeartbeatMonitorRow, HeartbeatMonitors


@dataclass(frozen=True, slots=True)
class HeartbeatView:
    """One heartbeat: how it is and since when, what is expected of it, when it was heard, and by when it has to be
    heard next."""

    name: str
    status: HeartbeatStatus
    since: datetime
    expected: str
    severity: Severity
    description: str
    heard_at: datetime | None
    started_at: datetime | None
    failed_at: datetime | None
    exit_code: int | None
    due_at: datetime | None
    deadline: datetime | None
    path: str


def heartbeats_of(here: ProjectRecords) -> Sequence[HeartbeatView]:
    """All heartbeats that are expected, those that are down first. Blocks."""
    monitors, now = HeartbeatMonitors(here.database), here.clock.now()
    rows, listened = monitors.list(), monitors.listened_until()
    found = []
    for name, settings in here.configuration.alerting.expected_heartbeats.items():
        row = rows.get(name) or HeartbeatMonitorRow(name, now)
        judged = judge(row, settings, now, listened or row.configured_at)
        found.append(
            HeartbeatView(
                name,
                judged.status,
                judged.since,
                expectation(settings),
                settings.severity,
                settings.description,
                row.heard_at,
                row.started_at,
                row.failed_at,
                row.exit_code,
                judged.due_at,
                judged.deadline,
                f"/heartbeat/{name}",
            )
        )
    return sorted(found, key=lambda view: (not view.status.is_down, view.severity, view.name))
