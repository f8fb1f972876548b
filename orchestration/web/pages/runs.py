"""The page that lists runs, newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.domain.run_status import RunStatus
from orchestration.errors import UsageError
from orchestration.runs.run_time import TIME_KINDS, run_time
from orchestration.storage.runs import Run
from orchestration.storage.spend import Spend
from orchestration.web.pages.site import DashboardSite, SitePage, Values
from orchestration.web.pages.time_range import TimeRange, time_range

_RUNS_PER_PAGE = 50
_TIMES_KEPT = 10_000
_FILTERS: Mapping[str, tuple[RunStatus, ...]] = {
    "all": (),
    "unfinished": tuple(status for status in RunStatus if not status.ended),
    **{status.value: (status,) for status in RunStatus},
}


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/runs", "runs.html", "runs", _Runs(site).read, ("run", "approval")))


class _Runs:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)
        # The time of a run that has ended stays what it is until it has been resumed, and has ended anew.
        self._known: dict[tuple[str, datetime | None], float] = {}

    async def read(self, request: Request) -> Values:
        chosen = request.query_params.get("status", "all")
        if chosen not in _FILTERS:
            raise UsageError(f"There is no status '{chosen[:20]}'. Choose one of: {', '.join(_FILTERS)}.")
        before = request.query_params.get("before") or None
        return await anyio.to_thread.run_sync(self._read, chosen, time_range(request, self._app.clock.now()), before)

    def _read(self, chosen: str, range_: TimeRange, before: str | None) -> Values:
        since, until = range_.since, range_.until
        found = self._app.runs.list(_FILTERS[chosen], _RUNS_PER_PAGE + 1, before=before, since=since, until=until)
        shown, counts = found[:_RUNS_PER_PAGE], self._app.runs.count_by_status(since, until)
        questions = {question.subject: question for question in self._app.approvals.list_open()}
        return {
            "runs": shown,
            "used": self._used(shown),
            "took": self._took(shown),
            "rehearsed": {one.id for one in shown if is_rehearsed(one)},
            "questions": questions,
            "chosen": chosen,
            "range": range_,
            "filters": _counted(counts),
            "before": before,
            "next": shown[-1].id if len(found) > _RUNS_PER_PAGE else None,
        }

    def _used(self, shown: Sequence[Run]) -> dict[str, tuple[int, float]]:
        recorded = _recorded_use(shown)
        return {**self._spend.by_run([one.id for one in shown if one.id not in recorded]), **recorded}

    def _took(self, shown: Sequence[Run]) -> dict[str, float]:
        """The seconds that ended runs have worked: waiting and pauses are not their own time."""
        ended = {run.id: run for run in shown if run.status.ended and run.started_at}
        known = {run_id: self._known.get((run_id, run.finished_at)) for run_id, run in ended.items()}
        unknown = [run_id for run_id, seconds in known.items() if seconds is None]
        events = self._app.timeline.list_of_kinds(unknown, TIME_KINDS)
        now = self._app.clock.now()
        found = {run_id: run_time(ended[run_id], events[run_id], now).working for run_id in unknown}
        if len(self._known) > _TIMES_KEPT:
            self._known.clear()
        self._known.update({(run_id, ended[run_id].finished_at): seconds for run_id, seconds in found.items()})
        return {**{run_id: seconds for run_id, seconds in known.items() if seconds is not None}, **found}


def is_rehearsed(run: Run) -> bool:
    """Whether a run was answered by the rehearsal provider, according to its own record."""
    use: Mapping[str, Any] = (run.outcome or {}).get("use") or {}
    return bool(use.get("rehearsal"))


def _recorded_use(runs: Sequence[Run]) -> dict[str, tuple[int, float]]:
    """Tokens and dollars of finished runs, from their own records: calls to the rehearsal provider are not charged."""
    uses = {run.id: run.outcome["use"] for run in runs if run.outcome and run.outcome.get("use")}
    return {name: (int(use["tokens"]), float(use["usd"])) for name, use in uses.items()}


def _counted(counts: Mapping[RunStatus, int]) -> list[tuple[str, int]]:
    """The filters with their number of runs, without empty ones; `all` and `unfinished` are always there."""
    totals = [
        (name, sum(count for status, count in counts.items() if not statuses or status in statuses))
        for name, statuses in _FILTERS.items()
    ]
    return [(name, total) for name, total in totals if total or name in ("all", "unfinished")]
