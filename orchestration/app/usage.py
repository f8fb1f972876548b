"""What was used in a period, by whom; and how the budgets stand."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from orchestration.app.project import ProjectRecords
from orchestration.config.budgets import EACH
from orchestration.domain.usage import UsageGrouping
from orchestration.errors import UsageError
from orchestration.providers.budget_rules import SpendingBudget, configured_budgets, project_budget, token_budgets
from orchestration.providers.wire import ClientKey
from orchestration.storage.access import AccessTable
from orchestration.storage.budget_accounts import BudgetAccount
from orchestration.storage.budget_balances import AccountBalance, BudgetBalances
from orchestration.storage.recorded_calls import RecordedCalls
from orchestration.storage.usage_days import UsageDays, UsageRow, UsageSelection

DEFAULT_DAYS = 30
# Ten years. What is asked for beyond that is a mistake.
_MOST_DAYS = 3660
COLUMNS = (
    *("requests", "refused", "failed", "prompt_tokens", "completion_tokens", "cached_tokens", "cache_written_tokens"),
    *("thinking_tokens", "usd", "unpriced"),
)


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The usage of a period, days of UTC, by each grouping; the most expensive first. `names` are those of keys."""

    selection: UsageSelection
    total: UsageRow
    groups: Mapping[UsageGrouping, Sequence[UsageRow]]
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BudgetState:
    """A budget in its present period. What is `aside` is for calls in progress."""

    owner: str
    period: str
    subject: str
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

    @property
    def remaining_tokens(self) -> int | None:
        """What is left for calls that begin now; None without a hard limit."""
        return None if self.hard_tokens is None else max(0, self.hard_tokens - self.used_tokens - self.aside_tokens)

    @property
    def remaining_usd(self) -> float | None:
        return None if self.hard_usd is None else max(0.0, self.hard_usd - self.used_usd - self.aside_usd)

    @property
    def share(self) -> float:
        """How much of its hard limit is used, or of its soft one if it has no other; of two limits, the more."""
        limits = ((self.used_tokens, self.hard_tokens), (self.used_usd, self.hard_usd))
        soft = ((self.used_tokens, self.soft_tokens), (self.used_usd, self.soft_usd))
        given = [used / limit for used, limit in limits if limit] or [used / limit for used, limit in soft if limit]
        return max(given, default=0.0)

    @property
    def state(self) -> str:
        """`used up`, `over soft limit` or `within`."""
        if any(left is not None and left <= 0 for left in (self.remaining_tokens, self.remaining_usd)):
            return "used up"
        soft = ((self.used_tokens, self.soft_tokens), (self.used_usd, self.soft_usd))
        return "over soft limit" if any(limit is not None and used >= limit for used, limit in soft) else "within"


class UsageReports:
    """Reports of a project. Every method blocks."""

    def __init__(self, project: ProjectRecords) -> None:
        self._project = project
        self._days = UsageDays(project.database)
        self._access = AccessTable(project.database)
        self._balances = BudgetBalances(project.database)
        self.calls = RecordedCalls(project.database)

    def report(self, selection: UsageSelection, *groupings: UsageGrouping) -> UsageReport:
        """What was used in a period."""
        groups = self._days.report(selection, *groupings)
        names = {token.id: token.name for token in self._access.list_tokens()}
        return UsageReport(selection, self._days.total(selection), groups, names)

    def budgets(self) -> list[BudgetState]:
        """The budgets in force, those that are nearest to their limits first. A budget of each has a line for everybody
        who has used something."""
        now = self._project.clock.now()
        found = list(dict.fromkeys(self._budgets(now)))
        balances = self._balances.balances({budget.account(now) for budget in found}, now)
        states = [_state(budget, budget.account(now), balances[budget.account(now)]) for budget in found]
        return sorted(states, key=lambda one: (-one.share, one.owner, one.period))

    def _budgets(self, now: datetime) -> Iterator[SpendingBudget]:
        configuration = self._project.configuration
        tokens = [token for token in self._access.list_tokens() if token.is_valid(now)]
        names = {token.id: token.name for token in tokens}
        day = project_budget(configuration)
        yield from (budget for budget in [day] if budget.is_set)
        for number, settings in enumerate(configuration.budgets):
            yield from configured_budgets(settings, number, self._users_of(settings.owner, settings.name, names), names)
        for token in tokens:
            yield from (
                budget
                for budget in token_budgets(ClientKey.of(token.id, token.name, token.team, token.limits))
                if budget.is_set
            )

    def _users_of(self, owner: str, name: str, names: Mapping[str, str]) -> Sequence[str]:
        """Who has a budget: whoever is named, or everybody who has used something lately."""
        if owner == "key" and name != EACH:
            return [one for one, known in names.items() if name in (one, known)] or [name]
        if name != EACH:
            return [name]
        today = self._project.clock.now().astimezone(UTC).date()
        # A month, and a day for zones that are ahead of UTC or behind it.
        recent = UsageSelection(today - timedelta(days=32), today)
        grouping = UsageGrouping(owner)
        return [row.name for row in self._days.report(recent, grouping)[grouping] if row.name.strip("/")]


def selection_of(
    now: datetime,
    *,
    first: date | None = None,
    last: date | None = None,
    days: int = DEFAULT_DAYS,
    key: str | None = None,
    team: str | None = None,
    agent: str | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> UsageSelection:
    """What a report is asked for; a model may be given as `provider/model`. Raises UsageError for a period that cannot
    be."""
    last = last or max(now.astimezone(UTC).date(), first or date.min)
    first = first or last - timedelta(days=days - 1)
    if not first <= last:
        raise UsageError(f"The period ends on {last}, before it begins on {first}.")
    if (last - first).days >= _MOST_DAYS:
        raise UsageError(f"The period is longer than {_MOST_DAYS} days. Choose a shorter one.")
    if model and provider is None and "/" in model:
        provider, _, model = model.partition("/")
    return UsageSelection(first, last, key, team, agent, provider, model)


def as_csv(report: UsageReport) -> str:
    """All rows of a report as comma-separated values, with a line of names first."""
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(("first_day", "last_day", "by", "id", "name", *COLUMNS))
    period = report.selection.first.isoformat(), report.selection.last.isoformat()
    groups = [("total", report.total), *((by.value, row) for by, found in report.groups.items() for row in found)]
    for by, row in groups:
        name = report.names.get(row.name, row.name)
        rows.writerow((*period, by, _harmless(row.name), _harmless(name), *(getattr(row, one) for one in COLUMNS)))
    return written.getvalue()


def _harmless(text: str) -> str:
    """Spreadsheets take a text that begins like this for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _state(budget: SpendingBudget, account: BudgetAccount, balance: AccountBalance) -> BudgetState:
    used, aside = balance.used, balance.aside
    return BudgetState(
        budget.owner, budget.period.value, budget.subject, account.starts_at, account.ends_at, budget.zone,
        used.tokens, used.usd, aside.tokens, aside.usd,
        budget.soft.tokens, budget.soft.usd, budget.hard.tokens, budget.hard.usd,
    )  # fmt: skip
