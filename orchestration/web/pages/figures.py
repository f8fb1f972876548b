"""Figures: the measures of the incidents, as plots with the tables behind them. Drills never count."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.errors import UsageError
from orchestration.incidents.statistics import Measure, StatisticsReport
from orchestration.storage.incident_statistics import Selection
from orchestration.web.pages.site import Page, Site, Values

_RANGES = {"7 d": 7, "30 d": 30, "90 d": 90, "365 d": 365}
_PLOTTED = (Measure.MTTD, Measure.MTTA, Measure.MTTR)


def routes(site: Site) -> Sequence[Route]:
    """The page."""
    return site.page(Page("/figures", "figures.html", "figures", _Figures(site).read))


class _Figures:
    def __init__(self, site: Site) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        chosen = request.query_params.get("range", "30 d")
        if chosen not in _RANGES:
            raise UsageError(f"expected a range ({', '.join(_RANGES)}), got '{chosen[:20]}'; choose one of the list")
        return await anyio.to_thread.run_sync(self._read, chosen)

    def _read(self, chosen: str) -> Values:
        now = self._app.clock.now()
        statistics = self._app.statistics
        recent = Selection(since=now - timedelta(days=_RANGES[chosen]))
        report, scenarios = statistics.reports(recent, ("severity", "scenario"), now)
        year = statistics.report(Selection(since=now - timedelta(days=366)), "month", now)
        return {
            "report": report,
            "scenarios": scenarios.groups,
            "months": _months(year),
            "measures": [measure.label for measure in _PLOTTED],
            "ranges": list(_RANGES),
            "chosen": chosen,
        }


def _months(report: StatisticsReport) -> list[tuple[str, int, list[float | None]]]:
    """Each month: how many incidents, and the medians of the plotted measures in minutes."""
    return [
        (
            group.name,
            group.count,
            [
                None if figure.median is None else round(figure.median / 60, 2)
                for figure in group.figures
                if figure.measure in _PLOTTED
            ],
        )
        for group in report.groups
    ]
