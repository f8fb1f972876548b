"""From a group of alerts to the report for the incident service. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from orchestration.alerts.correlation import by_cause
from orchestration.alerts.facts import merge_facts
from orchestration.alerts.links import links_of
from orchestration.alerts.model import Alert
from orchestration.domain.scenario import Scenario
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport

# A report is stored and shown with its incident; thousands of alerts in one group must not make it unreadable.
_MAX_LINES = 10
_MAX_EVIDENCE = 20
_MAX_NAMES = 50
# Most other details are scalars copied from the evidence, which is stored right beside them.
_IDENTIFYING = ("agent", "run", "provider", "model", "host", "path", "worker", "channel", "loop", "source", "place")


def report_of(group: Sequence[Alert], now: datetime) -> TroubleReport:
    """The report on one group; its first alert is the one that began first."""
    first = group[0]
    return TroubleReport(
        key=first.group,
        scenario=first.scenario,
        title=_title(group),
        summary=_summary(group),
        facts=group_facts(group),
        at=now,
        source=first.source,
        fingerprints=tuple(dict.fromkeys(alert.fingerprint for alert in group)),
        # A sender's clock may be ahead of ours, and an incident that began after it was detected would have a negative
        # time to detect.
        started_at=_started_at(group, now),
        blast_radius=blast_radius_of(group),
        evidence=tuple(_evidence(alert) for alert in group[:_MAX_EVIDENCE]),
        labels=_common(group),
        drill=first.drill,
        causes=tuple(by_cause(group)),
        links=links_of(group),
        duties=tuple(dict.fromkeys(duty for alert in group for duty in alert.duties)),
    )


def _started_at(group: Sequence[Alert], now: datetime) -> datetime | None:
    """When the impact began; None if no sender says so. The time of receipt would make every detection look instant."""
    known = [alert.since for alert in group if alert.since_known]
    return min(now, *known) if known else None


def group_facts(group: Iterable[Alert]) -> Facts:
    """The facts of a group: the worst of each, and the number of agents that fail in the whole group."""
    alerts = tuple(group)
    merged = merge_facts(alert.facts for alert in alerts)
    failing = len({alert.labels.get("agent") for alert in alerts if alert.facts.agents_failing} - {None})
    if failing <= merged.agents_failing:
        return merged
    return replace(merged, agents_failing=failing, agents_total=max(merged.agents_total, failing))


def blast_radius_of(group: Sequence[Alert]) -> BlastRadius:
    """What the alerts affect, by their labels."""
    # A label `agent` or `run` of another system names something of its own, even if ours has the same name.
    ours = [alert for alert in group if alert.scenario is not Scenario.EXTERNAL_ALERT]
    return BlastRadius(
        agents=_names(ours, "agent"),
        providers=_names(ours, "provider"),
        runs=_names(ours, "run"),
        # Prometheus names a target by `instance` (https://prometheus.io/docs/concepts/jobs_instances/); our own signals
        # use `host`.
        hosts=_names(group, "host") or _names(group, "instance"),
    )


def _title(group: Sequence[Alert]) -> str:
    # One for each cause: that a run failed says nothing beyond the failure of its agent.
    titles = tuple(dict.fromkeys(alert.title or alert.name for alert in by_cause(group).values()))
    return titles[0] if len(titles) == 1 else f"{titles[0]} (and {len(titles) - 1} more)"


def _summary(group: Sequence[Alert]) -> str:
    lines = list(dict.fromkeys(_line(alert) for alert in group))
    more = [f"and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return "\n".join(lines[:_MAX_LINES] + more)


def _line(alert: Alert) -> str:
    return (alert.summary or alert.title or alert.name) + (" (comes and goes)" if alert.flapping else "")


def _names(group: Sequence[Alert], label: str) -> tuple[str, ...]:
    named = (alert.labels.get(label) or alert.details.get(label) for alert in group)
    return tuple(dict.fromkeys(name for name in named if name))[:_MAX_NAMES]


def _common(group: Sequence[Alert]) -> dict[str, str]:
    """Labels on which all alerts agree."""
    shared = set.intersection(*(set(alert.labels.items()) for alert in group))
    return {"alertname": group[0].name, **dict(sorted(shared))}


def _evidence(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.id,
        "name": alert.name,
        "summary": alert.summary,
        "value": alert.value,
        "labels": dict(alert.labels),
        "details": {name: value for name, value in alert.details.items() if name in _IDENTIFYING},
        "evidence": dict(alert.evidence),
        "flapping": alert.flapping,
    }
