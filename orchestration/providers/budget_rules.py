"""Which budgets a call counts for, and whether it fits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from orchestration.config.budgets import EACH, BudgetSettings
from orchestration.config.schema import Configuration
from orchestration.config.usage_limits import UsageLimits
from orchestration.domain.budget import BudgetLevel, BudgetPeriod, SpentAmount, period_bounds
from orchestration.providers.failures import BudgetExceededError
from orchestration.providers.wire import Allowance, BudgetStanding, ClientKey, GatewayCall, Route
from orchestration.storage.budget_accounts import BudgetAccount
from orchestration.storage.budget_balances import AccountBalance
from orchestration.storage.charge import PROJECT, client_of, run_subject, subject

_UNITS = {BudgetPeriod.DAY: " today", BudgetPeriod.MONTH: " this month", BudgetPeriod.RUN: ""}
_NONE = Allowance()
_NEXT = {BudgetPeriod.DAY: "tomorrow", BudgetPeriod.MONTH: "next month"}


@dataclass(frozen=True, slots=True)
class SpendingBudget:
    """What a subject may use in a period. `owner` is the subject in words; the keys are those of the settings that say
    so."""

    subject: str
    owner: str
    period: BudgetPeriod
    hard: Allowance
    soft: Allowance = _NONE
    tokens_key: str = "limits.tokens"
    usd_key: str = "limits.usd"
    zone: str = "UTC"

    @property
    def is_set(self) -> bool:
        """Whether it limits anything."""
        return any(limit is not None for one in (self.hard, self.soft) for limit in (one.tokens, one.usd))

    def account(self, now: datetime) -> BudgetAccount:
        """Where its usage is counted at a time."""
        return BudgetAccount(self.subject, *period_bounds(self.period, now, self.zone))

    def standing(self, balance: AccountBalance, now: datetime) -> BudgetStanding:
        """How it stands, for the client."""
        left = (self.account(now).ends_at - now).total_seconds()
        used = balance.used
        return BudgetStanding(self.subject, self.period.value, used.tokens, used.usd, self.soft, self.hard, left)


def budgets_of_call(configuration: Configuration, call: GatewayCall) -> Iterator[SpendingBudget]:
    """The budgets that a call counts for, whichever route answers it."""
    runtime = configuration.runtime
    found = [project_budget(configuration)]
    for number, settings in enumerate(configuration.budgets):
        found += _configured(settings, number, call)
    if call.client is not None:
        found += token_budgets(call.client)
    if call.run_id is not None:
        found.append(_of_run(call.run_id, call, runtime.limits))
        agent = configuration.agent(call.agent) if call.agent else None
        if agent is not None and call.agent:
            limits = Allowance(agent.limits.tokens, agent.limits.usd)
            owner = f"agent {call.agent} of run {call.run_id}"
            found.append(SpendingBudget(run_subject(call.run_id, call.agent), owner, BudgetPeriod.RUN, limits))
    yield from (budget for budget in found if budget.is_set)


def budgets_of_route(configuration: Configuration, route: Route) -> Iterator[SpendingBudget]:
    """The budgets of a model and its provider."""
    full = str(route)
    for number, settings in enumerate(configuration.budgets):
        if settings.provider in (EACH, route.provider):
            yield _budget(settings, number, "provider", route.provider)
        if settings.model in (EACH, full, route.model):
            # One that is named without a provider counts for the model wherever it is.
            yield _budget(settings, number, "model", route.model if settings.model == route.model else full)


def check(budget: SpendingBudget, balance: AccountBalance, needed: SpentAmount) -> None:
    """Raise BudgetExceededError unless a call that needs that much fits."""
    hard, used, aside = budget.hard, balance.used, balance.aside
    expected = used + aside + needed
    period = _UNITS[budget.period]
    if hard.tokens is not None and (expected.tokens > hard.tokens or used.tokens >= hard.tokens):
        others = f" and set {aside.tokens:,} aside for calls under way" if aside.tokens else ""
        raise BudgetExceededError(
            f"{budget.owner} may use {hard.tokens:,} tokens{period} and has used {used.tokens:,}{others}; this call "
            f"needs about {needed.tokens:,} more. {_advice(budget, budget.tokens_key)}"
        )
    # A model without prices is expected to cost nothing, which would pass even when the limit is used up.
    if hard.usd is not None and (expected.usd > hard.usd or used.usd >= hard.usd):
        others = f" and set ${aside.usd:,.2f} aside for calls under way" if aside.usd else ""
        raise BudgetExceededError(
            f"{budget.owner} may spend ${hard.usd:,.2f}{period} and has spent ${used.usd:,.2f}{others}. "
            f"{_advice(budget, budget.usd_key)}"
        )


def set_aside(budget: SpendingBudget, balance: AccountBalance, least: SpentAmount, likely: SpentAmount) -> SpentAmount:
    """What to set aside for a call that fits: what it is likely to use, or what is left if that is less."""
    if budget.period is BudgetPeriod.RUN:
        # The calls of a run follow each other, mostly; what is left is theirs.
        return least
    hard, taken = budget.hard, balance.used + balance.aside
    tokens = likely.tokens if hard.tokens is None else min(likely.tokens, hard.tokens - taken.tokens)
    usd = likely.usd if hard.usd is None else min(likely.usd, hard.usd - taken.usd)
    return SpentAmount(max(least.tokens, tokens), max(least.usd, usd))


def reached(budget: SpendingBudget, used: SpentAmount) -> Iterator[tuple[BudgetLevel, str, str]]:
    """The limits that a budget has reached, each with what was used and what the limit is, in words."""
    for level, limits in ((BudgetLevel.SOFT, budget.soft), (BudgetLevel.HARD, budget.hard)):
        if limits.tokens is not None and used.tokens >= limits.tokens:
            yield level, f"{used.tokens:,} tokens", f"{limits.tokens:,} tokens"
        if limits.usd is not None and used.usd >= limits.usd:
            yield level, f"${used.usd:,.2f}", f"${limits.usd:,.2f}"


def local_end(budget: SpendingBudget, account: BudgetAccount) -> str:
    """When its period ends, in its own time zone."""
    return f"{account.ends_at.astimezone(ZoneInfo(budget.zone)):%Y-%m-%d %H:%M} {budget.zone}"


def _configured(settings: BudgetSettings, number: int, call: GatewayCall) -> Iterator[SpendingBudget]:
    client, agent = call.client, None if client_of(call.agent) else call.agent
    if settings.provider is not None or settings.model is not None:
        return
    if settings.key is not None:
        # A user who has signed in has no token, but an identity that is counted the same way.
        identity = client_of(call.agent)
        names = {identity, client.name if client else identity} - {None}
        if identity and (settings.key == EACH or settings.key in names):
            yield _budget(settings, number, "key", identity, client.name if client else identity)
    elif settings.team is not None:
        team = client.team if client else None
        if team and settings.team in (EACH, team):
            yield _budget(settings, number, "team", team)
    elif settings.agent is not None:
        if agent and settings.agent in (EACH, agent):
            yield _budget(settings, number, "agent", agent)
    else:
        yield _budget(settings, number, "project", "")


def _budget(settings: BudgetSettings, number: int, kind: str, name: str, shown: str = "") -> SpendingBudget:
    place = f"budgets[{number}]"
    return SpendingBudget(
        PROJECT if kind == "project" else subject(kind, name),
        "this project" if kind == "project" else f"{kind} {shown or name}",
        BudgetPeriod(settings.period),
        Allowance(settings.hard_tokens, settings.hard_usd),
        Allowance(settings.soft_tokens, settings.soft_usd),
        f"{place}.hardTokens",
        f"{place}.hardUsd",
        settings.time_zone,
    )


def project_budget(configuration: Configuration) -> SpendingBudget:
    """What everything together may use in a day, by the settings of the runtime."""
    runtime = configuration.runtime
    daily = Allowance(runtime.daily_tokens, runtime.daily_usd)
    return SpendingBudget(
        PROJECT, "this project", BudgetPeriod.DAY, daily, _NONE, "runtime.dailyTokens", "runtime.dailyUsd"
    )


def configured_budgets(
    settings: BudgetSettings, number: int, owners: Iterable[str], names: Mapping[str, str]
) -> Iterator[SpendingBudget]:
    """The budgets that one of the configuration is, for each of its owners; `names` are those of keys."""
    for owner in owners:
        yield _budget(settings, number, settings.owner, owner, names.get(owner, "") if settings.owner == "key" else "")


def token_budgets(client: ClientKey) -> Iterator[SpendingBudget]:
    """The budgets of a token itself."""
    for period, limits, name in (
        (BudgetPeriod.DAY, client.daily, "daily"),
        (BudgetPeriod.MONTH, client.monthly, "monthly"),
    ):
        keys = f"{name}_tokens", f"{name}_usd"
        soft = _share(limits, client.soft_percent)
        yield SpendingBudget(subject("key", client.id), f"key {client.name}", period, limits, soft, *keys)


def _share(limits: Allowance, percent: float | None) -> Allowance:
    if percent is None:
        return _NONE
    tokens = None if limits.tokens is None else int(limits.tokens * percent / 100)
    return Allowance(tokens, None if limits.usd is None else limits.usd * percent / 100)


def _of_run(run_id: str, call: GatewayCall, limits: UsageLimits) -> SpendingBudget:
    """The limits of a run: those that it was started with, where they are lower than the configuration's."""
    own = call.allowance or Allowance()
    tokens_are_own = own.tokens is not None and (limits.tokens is None or own.tokens <= limits.tokens)
    usd_is_own = own.usd is not None and (limits.usd is None or own.usd <= limits.usd)
    return SpendingBudget(
        run_subject(run_id),
        f"run {run_id}",
        BudgetPeriod.RUN,
        Allowance(own.tokens if tokens_are_own else limits.tokens, own.usd if usd_is_own else limits.usd),
        tokens_key="--tokens" if tokens_are_own else "limits.tokens",
        usd_key="--usd" if usd_is_own else "limits.usd",
    )


def _advice(budget: SpendingBudget, key: str) -> str:
    if budget.period in _NEXT:
        when = f"{_NEXT[budget.period]} ({budget.zone})"
        if key.startswith(("daily_", "monthly_")):
            return f"Give it a token with a higher `{key}`, or ask again {when}"
        return f"Raise `{key}` in the configuration, or resume the run {when}"
    if key.startswith("--"):
        return f"The run was started with this limit: start another one with a higher `{key}`"
    return f"Raise `{key}` in the configuration and resume the run"
