"""The report on a storm: how many alerts of one group have joined it, and what they are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from orchestration.alerts.incident_reports import report_of
from orchestration.alerts.model import Alert
from orchestration.alerts.storms import severity_of
from orchestration.incidents.report import Storm, TroubleReport

# What stands for the others in the report; all of them are in the list of alerts.
_MOST_SHOWN = 10
_MOST_NAMES = 5


def storm_report(group: Sequence[Alert], total: int, now: datetime) -> TroubleReport:
    """The report on those of a storm's alerts that are reported now; `total` have joined it so far."""
    ordered = sorted(group, key=lambda alert: (severity_of(alert).number, alert.since, alert.id))
    shown = ordered[:_MOST_SHOWN]
    storm = Storm(total, group[0].sender_group, group[0].source)
    return replace(
        report_of(shown, now),
        title=_title(ordered, storm),
        summary=_summary(ordered, shown, storm),
        storm=storm,
        started_at=min((alert.since for alert in group if alert.since_known and alert.since <= now), default=None),
        # Unlike causes are not told one by one: that is what a storm is for.
        causes=(),
    )


def _title(ordered: Sequence[Alert], storm: Storm) -> str:
    worst = ordered[0]
    alerts = "1 alert" if storm.total == 1 else f"{storm.total:,} alerts"
    return f"Storm of {alerts} from {storm.source}, the worst: {worst.title or worst.name}"


def _summary(ordered: Sequence[Alert], shown: Sequence[Alert], storm: Storm) -> str:
    names = Counter(alert.name for alert in ordered)
    severities = Counter(severity_of(alert).value for alert in ordered)
    more = [f"{len(names) - _MOST_NAMES} more names"] if len(names) > _MOST_NAMES else []
    of_group = f" of the group {storm.group}" if storm.group else ""
    return "\n".join(
        [
            f"{storm.total:,} alerts{of_group} share this incident, so that they do not hide other alerts.",
            "By severity: " + ", ".join(f"{count:,} {severity}" for severity, count in sorted(severities.items())),
            "By name: " + ", ".join([*(f"{count:,} {name}" for name, count in names.most_common(_MOST_NAMES)), *more]),
            *(f"{severity_of(alert).value} {alert.subject}: {alert.title or alert.name}" for alert in shown),
            f"All of them: orchestrator alerts list --group '{ordered[0].group}'",
        ]
    )
