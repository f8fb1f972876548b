"""The statistics page: incident statistics as plots and tables. Drills are not counted."""

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
    """One or more lines over the months of a year. A value that is not known is None."""

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
            raise UsageError(f"There is no time range '{chosen[:20]}'. Choose one of: {', '.join(_RANGES)}.")
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
    """The monthly plots: medians in minutes, shares in percent, and the number of incidents."""
    months = report.groups
    return [
        MonthPlot(
            "medians", "Medians", "min", "in minutes; the definitions are in the table below",
            [measure.label for measure in _PLOTTED], [(group.name, _medians(group)) for group in months],
        ),
        MonthPlot(
            "shares", "SLA compliance and recurrence", "%", "in percent of the incidents that qualify",
            ["SLA response", "SLA resolution", "Recurred"], [(group.name, _shares(group)) for group in months],
        ),
        MonthPlot(
            "counts", "Incidents", "", "by month of detection",
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
