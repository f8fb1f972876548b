"""Figures: the measures of the incidents, as plots with the tables behind them. Drills never count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.errors import UsageError
from orchestration.incidents.statistics import IncidentGroup, Measure, StatisticsReport
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_RANGES = {"7 d": 7, "30 d": 30, "90 d": 90, "365 d": 365}
_PLOTTED = (Measure.MTTD, Measure.MTTA, Measure.MTTR)


@dataclass(frozen=True, slots=True)
class MonthPlot:
    """A line or several over the months of a year; a value that is unknown is None."""

    id: str
    title: str
    unit: str
    meaning: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None]]]


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/figures", "figures.html", "figures", _Figures(site).read))


class _Figures:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        chosen = request.query_params.get("range", "30 d")
        if chosen not in _RANGES:
            raise UsageError(f"expected a range ({', '.join(_RANGES)}), got '{chosen[:20]}'; choose one of the list")
        return await anyio.to_thread.run_sync(self._read, chosen)

    def _read(self, chosen: str) -> Values:
        now = self._app.clock.now()
        statistics = self._app.statistics
        recent = IncidentSelection(since=now - timedelta(days=_RANGES[chosen]))
        report, scenarios = statistics.reports(recent, ("severity", "scenario"), now)
        year = statistics.report(IncidentSelection(since=now - timedelta(days=366)), "month", now)
        return {
            "report": report,
            "scenarios": scenarios.groups,
            "plots": _plots(year) if year.groups else (),
            "measures": [measure.label for measure in _PLOTTED],
            "ranges": list(_RANGES),
            "chosen": chosen,
        }


def _plots(report: StatisticsReport) -> list[MonthPlot]:
    """What is plotted by month: medians in minutes, shares in percent, and how many incidents there were."""
    months = report.groups
    return [
        MonthPlot(
            "medians", "Medians", "min", "in minutes; below it says from what to what",
            [measure.label for measure in _PLOTTED], [(group.name, _medians(group)) for group in months],
        ),
        MonthPlot(
            "shares", "SLA kept, and what came back", "%", "in percent of those that count for it",
            ["SLA response", "SLA resolution", "Came back"], [(group.name, _shares(group)) for group in months],
        ),
        MonthPlot(
            "counts", "Incidents", "", "by the month of detection",
            ["Incidents"], [(group.name, [float(group.count)]) for group in months],
        ),
    ]  # fmt: skip


def _medians(group: IncidentGroup) -> list[float | None]:
    figures = (figure for figure in group.figures if figure.measure in _PLOTTED)
    return [None if figure.median is None else round(figure.median / 60, 2) for figure in figures]


def _shares(group: IncidentGroup) -> list[float | None]:
    kept = {one.target: one.rate for one in group.compliance}
    rates = (kept.get("response"), kept.get("resolution"), group.recurrence.rate)
    return [None if rate is None else round(rate * 100, 1) for rate in rates]
