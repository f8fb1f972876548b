"""Usage: what was used in a period and by whom, the calls behind it, and how the budgets stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.responses import PlainTextResponse

from orchestration.app.usage import UsageReports, as_csv, selection_of
from orchestration.domain.usage import UsageGrouping
from orchestration.security.principal import Role
from orchestration.storage.recorded_calls import RecordedCall
from orchestration.storage.usage_days import UsageRow, UsageSelection
from orchestration.web.api.services import Limit, Services, requires

router = APIRouter()
_AREA = "statistics"
_READ = requires(Role.VIEWER, _AREA)
_Filter = Annotated[str | None, Query(max_length=255, description="Only the usage of this one; empty for nobody's.")]
_By = Annotated[list[UsageGrouping] | None, Query(max_length=6, description="By what to group. Repeatable.")]
_Day = Annotated[date | None, Query(description="A day of UTC. Both ends are included; the default is the last 30.")]


class UsageView(BaseModel):
    """The usage of a period, whole and by each grouping, the most expensive first. Names of keys are in `names`, by
    their ids. Tokens from the cache are part of the prompt's, those of thoughts part of the answer's."""

    first: date
    last: date
    total: UsageRow
    groups: Mapping[UsageGrouping, Sequence[UsageRow]]
    names: Mapping[str, str]


class BudgetView(BaseModel):
    """A budget in its present period. What is `aside` is for calls in progress; `remaining` is null without a hard
    limit."""

    owner: str
    period: str
    subject: str
    state: str
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    used_tokens: int
    used_usd: float
    aside_tokens: int
    aside_usd: float
    soft_tokens: int | None
    soft_usd: float | None
    hard_tokens: int | None
    hard_usd: float | None
    remaining_tokens: int | None
    remaining_usd: float | None


def _selection(
    services: Services,
    first: _Day = None,
    last: _Day = None,
    key: _Filter = None,
    team: _Filter = None,
    agent: _Filter = None,
    provider: _Filter = None,
    model: _Filter = None,
) -> UsageSelection:
    now = services.app.clock.now()
    return selection_of(now, first=first, last=last, key=key, team=team, agent=agent, provider=provider, model=model)


_Selected = Annotated[UsageSelection, Depends(_selection)]


@router.get("/usage", dependencies=_READ)
def show_usage(services: Services, selection: _Selected, by: _By = None) -> UsageView:
    """Show what was used in a period, by key, team, agent, provider, model or day."""
    report = UsageReports(services.app).report(selection, *dict.fromkeys(by or [UsageGrouping.DAY]))
    return UsageView(
        first=selection.first, last=selection.last, total=report.total, groups=report.groups, names=report.names
    )


@router.get("/usage.csv", dependencies=_READ, response_class=PlainTextResponse)
def export_usage(services: Services, selection: _Selected, by: _By = None) -> PlainTextResponse:
    """Show the same as comma-separated values."""
    report = UsageReports(services.app).report(selection, *dict.fromkeys(by or UsageGrouping))
    return PlainTextResponse(as_csv(report), media_type="text/csv; charset=utf-8")


@router.get("/usage/calls", dependencies=_READ)
def list_recorded_calls(
    services: Services, selection: _Selected, refused: bool = False, limit: Limit = 50
) -> Sequence[RecordedCall]:
    """List the newest calls of a period, or those of them that were refused."""
    return UsageReports(services.app).calls.list(selection, refused=refused, limit=limit)


@router.get("/usage/budgets", dependencies=_READ)
def list_budgets(services: Services) -> list[BudgetView]:
    """List the budgets in force and what is left of them, those nearest to their limits first."""
    found = UsageReports(services.app).budgets()
    return [BudgetView(**{name: getattr(one, name) for name in BudgetView.model_fields}) for one in found]
