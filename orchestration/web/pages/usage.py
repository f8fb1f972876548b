"""The usage page: what was used in a period, by whom, with the calls behind each figure; and how the budgets stand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from urllib.parse import urlencode

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orchestration.app.usage import DEFAULT_DAYS, UsageReports, as_csv, selection_of
from orchestration.domain.usage import UsageGrouping
from orchestration.errors import UsageError
from orchestration.security.principal import Role
from orchestration.storage.recorded_calls import RecordedCall
from orchestration.storage.usage_days import UsageSelection
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of

_AREA = "statistics"
_RANGES = {"1 d": 1, "7 d": 7, "30 d": 30, "90 d": 90, "365 d": 365}
_CALLS_PER_PAGE = 100
# The parameter of the address that each grouping is filtered by.
_FILTERS = ("key", "team", "agent", "provider", "model")
_SHOWN = (
    *(UsageGrouping.KEY, UsageGrouping.TEAM, UsageGrouping.AGENT, UsageGrouping.PROVIDER, UsageGrouping.MODEL),
    UsageGrouping.DAY,
)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page, the calls behind its figures, and the figures as files."""
    view = _Usage(site)
    page = site.page(SitePage("/usage", "usage.html", _AREA, view.read, ("model_call", "budget")))
    calls = site.page(SitePage("/usage/calls", "usage_calls.html", _AREA, view.read_calls))
    return [*page, *calls, Route("/usage.csv", view.export), Route("/usage.json", view.export)]


class _Usage:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._reports = UsageReports(site.app)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, self._selection(request))

    async def read_calls(self, request: Request) -> Values:
        refused = request.query_params.get("outcome") == "refused"
        before = _place(request.query_params.get("before", ""))
        return await anyio.to_thread.run_sync(self._read_calls, self._selection(request), refused, before)

    async def export(self, request: Request) -> Response:
        """The figures as comma-separated values, or as JSON."""
        principal = principal_of(request)
        if principal is None or not principal.may(Role.VIEWER, _AREA):
            return PlainTextResponse("Sign in first.", 403 if principal else 401)
        try:
            selection = self._selection(request)
        except UsageError as error:
            return PlainTextResponse(str(error), 422)
        report = await anyio.to_thread.run_sync(self._reports.report, selection, *_SHOWN)
        kind = request.url.path.rpartition(".")[2]
        name = f"usage-{selection.first}-{selection.last}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        if kind == "csv":
            return PlainTextResponse(as_csv(report), media_type="text/csv; charset=utf-8", headers=headers)
        text = json.dumps(asdict(report), default=str)
        return Response(text, media_type="application/json", headers=headers)

    def _read(self, selection: UsageSelection) -> Values:
        report = self._reports.report(selection, *_SHOWN)
        return {
            "report": report,
            "budgets": self._reports.budgets(),
            "groupings": [one for one in _SHOWN if one is not UsageGrouping.DAY],
            "days": report.groups[UsageGrouping.DAY],
            **self._frame(selection, report.names),
        }

    def _read_calls(self, selection: UsageSelection, refused: bool, before: tuple[datetime, str] | None) -> Values:
        found = self._reports.calls.list(selection, refused=refused, before=before, limit=_CALLS_PER_PAGE + 1)
        shown = found[:_CALLS_PER_PAGE]
        report = self._reports.report(selection)
        return {
            "calls": shown,
            "refused": refused,
            "next": _place_of(shown[-1]) if len(found) > len(shown) else None,
            **self._frame(selection, report.names),
        }

    def _frame(self, selection: UsageSelection, names: Mapping[str, str]) -> Values:
        chosen = _parameters(selection)
        return {
            "selection": selection,
            "names": names,
            "ranges": _RANGES,
            "filters": {name: value for name, value in chosen.items() if name in _FILTERS},
            "query": urlencode(chosen),
            "address": lambda **more: urlencode({**chosen, **more}),
        }

    def _selection(self, request: Request) -> UsageSelection:
        """What an address asks for. Raises UsageError."""
        asked = request.query_params
        days = _RANGES.get(asked.get("range", ""), DEFAULT_DAYS)
        given = {name: asked[name][:255] for name in _FILTERS if name in asked}
        first, last = (None if asked.get("range") else _day(asked.get(name, "")) for name in ("first", "last"))
        return selection_of(self._app.clock.now(), first=first, last=last, days=days, **given)


def _parameters(selection: UsageSelection) -> dict[str, str]:
    given = {name: getattr(selection, "client" if name == "key" else name) for name in _FILTERS}
    period = {"first": selection.first.isoformat(), "last": selection.last.isoformat()}
    return period | {name: value for name, value in given.items() if value is not None}


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"'{text[:20]}' is no day. Write it as 2026-03-01.") from None


def _place_of(call: RecordedCall) -> str:
    return f"{call.at.isoformat()} {call.key}"


def _place(text: str) -> tuple[datetime, str] | None:
    """Where a page begins. Raises UsageError."""
    if not text:
        return None
    at, _, key = text.partition(" ")
    try:
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
    except ValueError:
        raise UsageError("The address of this page is incomplete. Go back to the first page of the calls.") from None
    return moment, key
