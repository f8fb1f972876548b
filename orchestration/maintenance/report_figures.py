"""The weekly report and the monthly trend: incident figures, the SLA, old alerts, known vulnerabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.domain.alert_status import AlertStatus
from orchestration.incidents.records import IncidentRecords
from orchestration.incidents.review import span
from orchestration.incidents.statistics import IncidentGroup, Statistics, StatisticsReport
from orchestration.maintenance.reports import MaintenanceReport, moment, section, table
from orchestration.security.vulnerabilities import VulnerabilityAudit, audit, installed
from orchestration.storage.alerts import AlertRow, Alerts
from orchestration.storage.incidents.aggregates import IncidentSelection

WEEKLY, TREND = "weekly-report", "trend-report"
_WEEK = timedelta(days=7)
_MONTHS = 6
_SHOWN = 50


class FigureReports:
    """Writes both reports from the records. `advisories` is the folder of known vulnerabilities. Blocks."""

    def __init__(
        self,
        statistics: Statistics,
        incidents: IncidentRecords,
        alerts: Alerts,
        advisories: Callable[[], Path],
        time_zone: Callable[[], str],
    ) -> None:
        self._statistics = statistics
        self._incidents = incidents
        self._alerts = alerts
        self._advisories = advisories
        self._time_zone = time_zone

    def weekly(self, now: datetime) -> MaintenanceReport:
        """The last seven days compared with the seven before."""
        week = self._statistics.report(IncidentSelection(now - _WEEK, now), "severity", now)
        before = self._statistics.report(IncidentSelection(now - 2 * _WEEK, now - _WEEK), "severity", now)
        old = [one for one in self._alerts.list([AlertStatus.FIRING], limit=1000) if now - one.since > _WEEK]
        found = audit(installed(), self._advisories())
        actions = self._open_actions()
        summary = (
            f"incidents: {week.total.count}, {before.total.count} in the week before",
            f"ended: {week.total.endings.sentence}",
            *_sla_summary(week.total),
            f"alerts that have fired for more than a week: {len(old)}",
            f"dependencies: {found.verdict(now)}",
            f"action items to be done: {len(actions)}",
        )
        parts = (
            f"From {moment(now - _WEEK)} to {moment(now)}. Drills never count.{_note(week, before)}\n",
            section("Incidents", [*_figures([week.total, *week.groups]), "", "The week before:", *_counts(before)]),
            section("How they ended", _endings([week.total, *week.groups])),
            section("SLA", _sla([week.total, *week.groups])),
            section("Alerts older than a week", _alert_table(old, now)),
            section("Dependencies", [found.verdict(now), "", *_vulnerabilities(found)]),
            section("Action items to be done", actions[:_SHOWN]),
        )
        return MaintenanceReport(WEEKLY, "Weekly report", summary, "\n".join(parts))

    def trend(self, now: datetime) -> MaintenanceReport:
        """The last months compared with each other, and by scenario."""
        since = _months_before(now, self._time_zone(), _MONTHS)
        months, scenarios = self._statistics.reports(IncidentSelection(since, now), ("month", "scenario"), now)
        recurrence = months.total.recurrence
        summary = (
            f"incidents since {since:%Y-%m-%d}: {months.total.count}",
            f"ended: {months.total.endings.sentence}",
            *_sla_summary(months.total),
            f"recurrence: {_share(recurrence.rate)} ({recurrence.recurred} of {recurrence.resolved} resolved)",
            *(f"{group.name}: {group.count} incidents" for group in months.groups),
        )
        parts = (
            f"Since {moment(since)}. Drills never count.{_note(months)}\n",
            section("By month", _figures(months.groups)),
            section("How they ended, by month", _endings(months.groups)),
            section("SLA by month", _sla(months.groups)),
            section("By scenario", _figures(scenarios.groups)),
            section("Recurrence by scenario", _recurrence(scenarios.groups)),
        )
        return MaintenanceReport(TREND, "Trends", summary, "\n".join(parts))

    def _open_actions(self) -> list[str]:
        return [
            f"- {incident.id}: {item.text} ({item.owner}, due {item.due})"
            for incident in self._incidents.with_open_actions()
            for item in incident.actions
            if item.done_at is None
        ]


def _months_before(now: datetime, zone: str, months: int) -> datetime:
    """The start of the month so many months ago."""
    local = now.astimezone(ZoneInfo(zone))
    # By the calendar: months differ in length, so no number of days is a number of months.
    year, month = divmod(local.year * 12 + local.month - 1 - months, 12)
    return local.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)


def _note(*reports: StatisticsReport) -> str:
    note = next((report.note for report in reports if report.note), "")
    return f" Of so many incidents {note}." if note else ""


def _figures(groups: Iterable[IncidentGroup]) -> list[str]:
    rows = [
        (
            group.name or "all",
            group.count,
            figure.title,
            figure.n,
            _seconds(figure.median),
            _seconds(figure.p90),
            f"{figure.coverage:.0%}",
        )
        for group in groups
        for figure in group.figures
        if figure.n
    ]
    # A group without a measured time still has incidents, and must not disappear from the table.
    empty = [(group.name or "all", group.count, "", 0, "", "", "") for group in groups if not _has_figures(group)]
    return table(("group", "incidents", "measure", "n", "median", "90th percentile", "covers"), [*rows, *empty])


def _has_figures(group: IncidentGroup) -> bool:
    return any(figure.n for figure in group.figures)


def _counts(report: StatisticsReport) -> list[str]:
    return [f"- {group.name or 'all'}: {group.count}" for group in (report.total, *report.groups)]


def _sla(groups: Iterable[IncidentGroup]) -> list[str]:
    rows = [
        (group.name or "all", one.target, _share(one.rate), one.met, one.by_workaround, one.breached)
        for group in groups
        for one in group.compliance
    ]
    return table(("group", "target", "met", "in time", "only by a workaround", "breached"), rows)


def _endings(groups: Iterable[IncidentGroup]) -> list[str]:
    rows = [
        (
            group.name or "all",
            ends.proof,
            ends.person,
            ends.workaround,
            ends.unknown,
            group.count - group.recurrence.resolved,
        )
        for group in groups
        for ends in (group.endings,)
    ]
    return table(("group", "by proof", "by a person", "by a workaround", "unknown", "open"), rows)


def _sla_summary(group: IncidentGroup) -> Iterator[str]:
    for one in group.compliance:
        yield f"SLA {one.target}: {_share(one.rate)} ({one.sentence})"


def _recurrence(groups: Iterable[IncidentGroup]) -> list[str]:
    rows = [(one.name, _share(one.recurrence.rate), one.recurrence.recurred, one.recurrence.resolved) for one in groups]
    return table(("scenario", "rate", "returned", "resolved"), rows)


def _alert_table(alerts: Iterable[AlertRow], now: datetime) -> list[str]:
    rows = [(one.name, span(now - one.since), one.scenario, one.muted_by) for one in alerts]
    return table(("alert", "for", "scenario", "muted by"), rows)


def _vulnerabilities(found: VulnerabilityAudit) -> list[str]:
    rows = [
        (one.package, one.version, one.advisory, one.fixed or "none yet", one.summary)
        for one in found.vulnerabilities[:_SHOWN]
    ]
    return table(("package", "version", "advisory", "fixed in", "summary"), rows)


def _seconds(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:.1f} s" if value < 60 else span(timedelta(seconds=value))


def _share(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate:.1%}"
