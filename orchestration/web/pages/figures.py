"""The statistics page: incident statistics as plots and tables. Drills are not counted."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar, cast

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration.app.reviews import PLAYBOOKS
from orchestration.domain.scenario import Scenario
from orchestration.errors import UsageError
from orchestration.incidents.statistics import IncidentGroup, Measure, StatisticsReport
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.playbooks.reliability import OptionRecord, option_records
from orchestration.security.principal import Role
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.playbooks import PlaybookRecords, PlaybookRun
from orchestration.storage.spend import Spend
from orchestration.web.pages.burn_down import ENDED, OPENED, DayOfWork, burn_down
from orchestration.web.pages.change_marks import change_marks
from orchestration.web.pages.resources import ResourcePlot
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of

# Of each playbook: what is older tells little about it as it is now.
_RUNS_COUNTED = 100
_CHANGES_COUNTED = 500
# Of duties and action items. Retention keeps the timeline for less time than this by default.
_EVENTS_COUNTED = 5_000
_REMEMBERED = timedelta(days=366)
_CAUSES_SHOWN = 15
_KEPT = timedelta(seconds=60)
_ITEMS_SHOWN = 50
_RANGES = {"7 d": 7, "30 d": 30, "90 d": 90, "365 d": 365}
_PLOTTED = (Measure.MTTD, Measure.MTTA, Measure.MTTR)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MonthPlot:
    """One or more lines over the months of a year. A value that is not known is None."""

    id: str
    title: str
    unit: str
    meaning: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float | None]]]


@dataclass(frozen=True, slots=True)
class Compared:
    """A measure in the chosen period and in the one before it, of the same length. Seconds; None where nothing was
    measured."""

    measure: Measure
    n: int
    median: float | None
    p90: float | None
    before: float | None

    @property
    def change(self) -> float | None:
        """How much longer it takes than before, as a share; negative where it takes less."""
        return None if self.median is None or not self.before else self.median / self.before - 1


@dataclass(frozen=True, slots=True)
class CauseCount:
    """How often a cause was the likeliest, and in which incidents, the newest first."""

    playbook: str
    summary: str
    incidents: Sequence[str]

    @property
    def count(self) -> int:
        return len(self.incidents)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page, and its figures as a file."""
    view = _Figures(site)
    page = site.page(SitePage("/figures", "figures.html", "figures", view.read))
    return [*page, Route("/figures.csv", view.export)]


class _Figures:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)
        self._playbooks = PlaybookRecords(site.app.database)
        # One for each choice that the page offers, so there are few.
        self._results: dict[Hashable, tuple[datetime | None, Any]] = {}

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, *_chosen(request))

    async def export(self, request: Request) -> Response:
        """The figures as comma-separated values."""
        principal = principal_of(request)
        if principal is None or not principal.may(Role.VIEWER, "figures"):
            return PlainTextResponse("Sign in first.", 403 if principal else 401)
        try:
            chosen, scenario = _chosen(request)
        except UsageError as error:
            return PlainTextResponse(str(error), 422)
        text = await anyio.to_thread.run_sync(
            self._kept, ("file", chosen, scenario), lambda: self._csv(chosen, scenario)
        )
        headers = {"Content-Disposition": f'attachment; filename="figures-{chosen.replace(" ", "")}.csv"'}
        return PlainTextResponse(text, media_type="text/csv; charset=utf-8", headers=headers)

    def _read(self, chosen: str, scenario: Scenario | None) -> Values:
        return self._kept(("page", chosen, scenario), lambda: self._work_out(chosen, scenario))

    def _kept(self, key: Hashable, work_out: Callable[[], tuple[bool, T]]) -> T:
        """What was worked out within the last minute, else anew. Only what takes long is kept: of few incidents the
        page shows every change at once."""
        now = self._app.clock.now()
        at, found = self._results.get(key, (None, None))
        if at is not None and timedelta() <= now - at < _KEPT:
            return cast("T", found)
        takes_long, value = work_out()
        if takes_long:
            self._results[key] = (now, value)
        return value

    def _work_out(self, chosen: str, scenario: Scenario | None) -> tuple[bool, Values]:
        now, length = self._app.clock.now(), timedelta(days=_RANGES[chosen])
        statistics = self._app.statistics
        recent = IncidentSelection(since=now - length, scenario=scenario)
        report, scenarios = statistics.reports(recent, ("severity", "scenario"), now)
        earlier = IncidentSelection(since=now - 2 * length, until=now - length, scenario=scenario)
        before = statistics.report(earlier, "severity", now)
        year = statistics.report(IncidentSelection(since=now - timedelta(days=366), scenario=scenario), "month", now)
        changes = Counter(f"{one.loaded_at:%Y-%m}" for one in self._app.store.history(_CHANGES_COUNTED))
        options, causes = self._playbook_figures(scenario, now - length)
        work = self._app.timeline.list_recent([*OPENED, *ENDED], now - _REMEMBERED, _EVENTS_COUNTED)
        return bool(year.relative_error), {
            "worked_out": now,
            "report": report,
            "before": before,
            "compared": list(_compared(report.total, before.total)),
            "scenarios": scenarios.groups,
            "plots": _plots(year, changes) if year.groups else (),
            "measures": [measure.label for measure in _PLOTTED],
            "ranges": list(_RANGES),
            "chosen": chosen,
            "scenario": scenario.value if scenario else "",
            "all_scenarios": [one.value for one in Scenario],
            "days": _RANGES[chosen],
            "options": options,
            "causes": causes,
            "owed": self._owed(now.date()),
            "duties": _duties_plot(burn_down(work, now, _RANGES[chosen])) if work else None,
            "marks": change_marks(self._app, now - timedelta(days=366)),
            "agents": _spent(self._spend.by_agent, now, length),
            "models": _spent(self._spend.by_route, now, length),
        }

    def _playbook_figures(
        self, scenario: Scenario | None, since: datetime
    ) -> tuple[list[OptionRecord], list[CauseCount]]:
        options: list[OptionRecord] = []
        causes: list[CauseCount] = []
        for entry in PlaybookCatalogue(self._app.root / PLAYBOOKS).all():
            book = entry.playbook
            if scenario is not None and book.scenario is not scenario:
                continue
            newest = self._playbooks.list_runs(playbook=book.name, limit=_RUNS_COUNTED)
            runs = [run for run in newest if run.started_at >= since and not run.drill]
            if runs:
                steps = self._playbooks.list_mitigation_steps([run.id for run in runs])
                options += [one for one in option_records(book, runs, steps) if one.tried or one.denied]
                causes += _causes(book.name, runs)
        return options, sorted(causes, key=lambda one: -one.count)[:_CAUSES_SHOWN]

    def _owed(self, today: date) -> Mapping[str, Any]:
        """The action items that are open: how many there are, how many are late, and those that are due first."""
        owed = self._app.incident_service.records.with_open_actions()
        items = sorted(
            ((one.id, item) for one in owed for item in one.actions if item.done_at is None),
            key=lambda pair: pair[1].due,
        )
        late = sum(item.due < today for _, item in items)
        return {"open": len(items), "late": late, "incidents": len(owed), "listed": items[:_ITEMS_SHOWN]}

    def _csv(self, chosen: str, scenario: Scenario | None) -> tuple[bool, str]:
        now = self._app.clock.now()
        selection = IncidentSelection(since=now - timedelta(days=_RANGES[chosen]), scenario=scenario)
        reports = self._app.statistics.reports(selection, ("severity", "scenario", "month"), now)
        written = io.StringIO()
        rows = csv.writer(written)
        rows.writerow(("by", "group", "incidents", "measure", "n", "median_seconds", "p90_seconds", "mean_seconds"))
        groups = [("all", reports[0].total), *((one.by, group) for one in reports for group in one.groups)]
        for by, group in groups:
            for one in group.figures:
                values = ("" if value is None else round(value, 3) for value in (one.median, one.p90, one.mean))
                rows.writerow((by, group.name, group.count, one.title, one.n, *values))
        return bool(reports[0].relative_error), written.getvalue()


def _chosen(request: Request) -> tuple[str, Scenario | None]:
    """The time range and the scenario of an address. Raises UsageError."""
    chosen, scenario = request.query_params.get("range", "30 d"), request.query_params.get("scenario", "")
    if chosen not in _RANGES:
        raise UsageError(f"There is no time range '{chosen[:20]}'. Choose one of: {', '.join(_RANGES)}.")
    if scenario and scenario not in list(Scenario):
        raise UsageError(f"There is no scenario '{scenario[:40]}'. Choose one of: {', '.join(Scenario)}.")
    return chosen, Scenario(scenario) if scenario else None


def _compared(now: IncidentGroup, before: IncidentGroup) -> Iterator[Compared]:
    earlier = {figure.measure: figure.median for figure in before.figures}
    for figure in now.figures:
        if figure.measure in _PLOTTED:
            yield Compared(figure.measure, figure.n, figure.median, figure.p90, earlier.get(figure.measure))


def _causes(playbook: str, runs: Sequence[PlaybookRun]) -> Iterator[CauseCount]:
    """The likeliest cause of each run, with its incidents; `runs` come newest first."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.hypotheses:
            found.setdefault(run.hypotheses[0].summary, []).append(run.incident_id)
    for summary, incidents in found.items():
        yield CauseCount(playbook, summary, list(dict.fromkeys(incidents)))


def _spent(
    by: Callable[[datetime, datetime], Mapping[str, tuple[int, float]]], now: datetime, length: timedelta
) -> list[tuple[str, int, float, int]]:
    """Name, tokens, dollars, and the tokens of the period before; the dearest first."""
    found, before = by(now - length, now), by(now - 2 * length, now - length)
    rows = [(name or "none", tokens, usd, before.get(name, (0, 0.0))[0]) for name, (tokens, usd) in found.items()]
    return sorted(rows, key=lambda row: (-row[2], -row[1]))


def _plots(report: StatisticsReport, changes: Mapping[str, int]) -> list[MonthPlot]:
    """The monthly plots: median and 90th percentile of each measure in minutes, shares in percent, and the number of
    incidents beside that of the configuration's `changes`, by month."""
    months = report.groups
    return [
        *(
            MonthPlot(
                measure.name.lower(), f"{measure.label} by month", "min", measure.variant,
                ["median", "90th percentile"], [(group.name, _spread(group, measure)) for group in months],
            )
            for measure in _PLOTTED
        ),
        MonthPlot(
            "shares", "SLA compliance and recurrence", "%", "in percent of the incidents that qualify",
            ["SLA response", "SLA resolution", "Recurred"], [(group.name, _shares(group)) for group in months],
        ),
        MonthPlot(
            "counts", "Incidents and changes", "", "incidents by month of detection, versions of the configuration",
            ["Incidents", "Configuration changes"],
            [(group.name, [float(group.count), float(changes.get(group.name, 0))]) for group in months],
        ),
    ]  # fmt: skip


def _duties_plot(days: Sequence[DayOfWork]) -> ResourcePlot:
    rows = tuple(
        (datetime.combine(one.day, time(), UTC), (float(one.left), float(one.opened), float(one.ended))) for one in days
    )
    meaning = "left open at the end of each day (UTC), opened and ended in it, as far as the timeline reaches"
    return ResourcePlot("duties", "Duties and action items", meaning, "", ("Left", "Opened", "Ended"), rows)


def _spread(group: IncidentGroup, measure: Measure) -> list[float | None]:
    figure = next(figure for figure in group.figures if figure.measure is measure)
    return [None if value is None else round(value / 60, 2) for value in (figure.median, figure.p90)]


def _shares(group: IncidentGroup) -> list[float | None]:
    kept = {one.target: one.rate for one in group.compliance}
    rates = (kept.get("response"), kept.get("resolution"), group.recurrence.rate)
    return [None if rate is None else round(rate * 100, 1) for rate in rates]
