"""The resources page: what the machine and the processes use, now and over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.overview import overview
from orchestration.errors import UsageError
from orchestration.storage.samples import Samples, SampleSeries
from orchestration.web.pages.change_marks import change_marks
from orchestration.web.pages.site import DashboardSite, SitePage, Values

RANGES = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "1d": timedelta(days=1), "7d": timedelta(days=7)}
# More points than this cannot be told apart at the width of a plot.
_POINTS = 120


@dataclass(frozen=True, slots=True)
class ResourcePlot:
    """A plot and the table behind it. A row is a time with one value per series, or None where there is none. `limit`
    is the alert threshold of the configuration."""

    id: str
    title: str
    meaning: str
    unit: str
    names: tuple[str, ...]
    rows: tuple[tuple[datetime, tuple[float | None, ...]], ...]
    limit: float | None = None

    @property
    def latest(self) -> tuple[float | None, ...]:
        return self.rows[-1][1] if self.rows else tuple(None for _ in self.names)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(
        SitePage(
            "/resources", "resources.html", "resources", _Resources(site).read, ("worker", "control"), refreshes=True
        )
    )


class _Resources:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._samples = Samples(site.app.database)

    async def read(self, request: Request) -> Values:
        chosen = request.query_params.get("range", "1h")
        if chosen not in RANGES:
            raise UsageError(f"There is no time range '{chosen[:20]}'. Choose one of: {', '.join(RANGES)}.")
        return await anyio.to_thread.run_sync(self._read, chosen)

    def _read(self, chosen: str) -> Values:
        now = self._app.clock.now()
        thresholds = self._app.configuration.monitoring.thresholds
        of_host = "of the container's limit if there is one"
        wanted = (
            ("cpu_percent", "Processor", of_host, "%", thresholds.cpu_percent),
            ("memory_percent", "Memory", of_host, "%", thresholds.memory_percent),
            (
                "disk_free_percent",
                "Free disk",
                "space or inodes, whichever is lower",
                "%",
                thresholds.disk_free_percent,
            ),
            ("event_loop_lag_seconds", "Event loop lag", "largest delay of an event loop", "s", None),
            ("latency_ratio", "Provider latency", "median relative to its baseline; 1 is normal", "×", None),
        )
        plots = []
        for name, title, meaning, unit, limit in wanted:
            series = self._samples.query(name, now - RANGES[chosen], now, now)
            plots.append(plot(name, title, meaning, unit, series, limit))
        marks = change_marks(self._app, now - RANGES[chosen])
        return {
            "marks": marks,
            "plots": plots,
            "overview": overview(self._app),
            "ranges": list(RANGES),
            "chosen": chosen,
        }


def plot(
    name: str, title: str, meaning: str, unit: str, series: Sequence[SampleSeries], limit: float | None = None
) -> ResourcePlot:
    """A plot of series, averaged down to a limited number of points. Pure."""
    moments = [at for one in series for at, _ in one.points]
    if not moments:
        return ResourcePlot(name, title, meaning, unit, (), (), limit)
    first = min(moments)
    # Never narrower than a second: samples come every few seconds, and an empty slot between them would break the line.
    width = max((max(moments) - first).total_seconds() / _POINTS, 1.0)
    slots: dict[int, list[list[float]]] = {}
    for index, one in enumerate(series):
        for at, value in one.points:
            slot = slots.setdefault(int((at - first).total_seconds() // width), [[] for _ in series])
            slot[index].append(value)
    rows = tuple(
        (
            first + timedelta(seconds=number * width),
            tuple(round(sum(values) / len(values), 3) if values else None for values in slots[number]),
        )
        for number in sorted(slots)
    )
    names = tuple(", ".join(one.labels.values()) or title for one in series)
    return ResourcePlot(name, title, meaning, unit, names, rows, limit)
