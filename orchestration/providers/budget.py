"""Budgets: a hard stop before the call that would exceed one, and a notice when one is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio
import anyio.to_thread

from orchestration.config.schema import Configuration
from orchestration.domain.budget import BudgetLevel, BudgetPeriod, SpentAmount
from orchestration.events import EventBus
from orchestration.events.providers import BudgetReached
from orchestration.ids import new_id
from orchestration.providers.budget_rules import (
    SpendingBudget,
    budgets_of_call,
    budgets_of_route,
    check,
    local_end,
    reached,
    set_aside,
)
from orchestration.providers.failures import BudgetExceededError
from orchestration.providers.wire import BudgetStanding, GatewayCall, Route
from orchestration.storage.budget_accounts import BudgetAccount
from orchestration.storage.budget_balances import AccountBalance, Balances, BudgetBalances
from orchestration.storage.charge import Charge


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """What a call will use at least: its prompt, and the answer it asks for. Where it does not limit its answer,
    `likely` has room for a usual one."""

    least: SpentAmount
    likely: SpentAmount


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What is set aside for one call in progress. `closed` are the routes whose own budgets are used up."""

    id: str
    accounts: Mapping[SpendingBudget, BudgetAccount]
    standings: Sequence[BudgetStanding] = ()
    closed: frozenset[Route] = frozenset()


@dataclass(slots=True)
class _Decision:
    """Whether a call fits its budgets, by their balances, and what that means."""

    own: Sequence[SpendingBudget]
    by_route: Mapping[Route, Sequence[SpendingBudget]]
    routes: frozenset[Route]
    accounts: Mapping[SpendingBudget, BudgetAccount]
    expected: ExpectedUse
    closed: frozenset[Route] = frozenset()
    balances: Balances = field(default_factory=dict)

    def __call__(self, balances: Balances) -> Mapping[BudgetAccount, SpentAmount]:
        self.balances = balances
        for budget in self.own:
            check(budget, balances[self.accounts[budget]], self.expected.least)
        refusals = {route: refusal for route in self.by_route if (refusal := self._refusal(route)) is not None}
        self.closed = frozenset(refusals)
        if refusals and self.closed >= self.routes:
            raise next(iter(refusals.values()))
        return dict(self._amounts())

    def _refusal(self, route: Route) -> BudgetExceededError | None:
        try:
            for budget in self.by_route[route]:
                check(budget, self.balances[self.accounts[budget]], self.expected.least)
        except BudgetExceededError as error:
            return error
        return None

    def _amounts(self) -> Iterator[tuple[BudgetAccount, SpentAmount]]:
        # With each model that may answer: which one will is not known yet.
        usable = (budget for route in self.by_route if route not in self.closed for budget in self.by_route[route])
        for budget in (*self.own, *usable):
            account = self.accounts[budget]
            yield account, set_aside(budget, self.balances[account], self.expected.least, self.expected.likely)


class Budgets:
    """Limits on tokens and money per run and per agent in it, and of the project, keys, teams, agents, providers and
    models per day and per month. Calls without a limit cost nothing here.

    What is used, and what calls in progress may still use, is in the database, so that processes do not exceed a budget
    together, and a restart forgets nothing.
    """

    def __init__(
        self, balances: BudgetBalances, configuration: Callable[[], Configuration], bus: EventBus | None = None
    ) -> None:
        self._balances = balances
        self._configuration = configuration
        self._bus = bus
        # So that a limit that was reached costs the later calls of its period nothing.
        self._announced: set[tuple[BudgetAccount, BudgetLevel, str]] = set()

    async def reserve(
        self,
        call: GatewayCall,
        expect: Callable[[], ExpectedUse],
        routes: Callable[[], Iterable[Route]],
        now: datetime,
    ) -> Reservation | None:
        """Set aside the expected cost of a call; None if nothing limits the call, and `expect` is not called then.

        `routes` are those that the call may use. Raises BudgetExceededError if the call would exceed a limit.
        """
        configuration = self._configuration()
        own = tuple(budgets_of_call(configuration, call))
        usable = frozenset(routes()) if _limits_routes(configuration) else frozenset()
        by_route = {one: found for one in usable if (found := tuple(budgets_of_route(configuration, one)))}
        if not own and not by_route:
            return None
        every = (*own, *(budget for found in by_route.values() for budget in found))
        accounts = {budget: budget.account(now) for budget in every}
        return await self._decide(_Decision(own, by_route, usable, accounts, expect()), now)

    async def _decide(self, decision: _Decision, now: datetime) -> Reservation:
        accounts, identifier = decision.accounts, new_id("hold", now.timestamp())
        reserve = partial(self._balances.reserve, identifier, set(accounts.values()), now, decision)
        try:
            await anyio.to_thread.run_sync(reserve)
        except BudgetExceededError as error:
            error.standings = _standings(accounts, decision.balances, now)
            raise
        finally:
            await self._announce(accounts, decision.balances, now)
        standings = _standings(accounts, decision.balances, now)
        return Reservation(identifier, accounts, standings, decision.closed)

    async def settle(self, reservation: Reservation, charge: Charge | None, now: datetime) -> None:
        """Replace what was set aside by the real cost; None if there is nothing to record."""
        accounts = set(reservation.accounts.values())
        settle = partial(self._balances.settle, reservation.id, accounts, charge)
        await self._announce(reservation.accounts, await anyio.to_thread.run_sync(settle), now)

    async def _announce(
        self, accounts: Mapping[SpendingBudget, BudgetAccount], balances: Balances, now: datetime
    ) -> None:
        """Publish each limit that was reached, once in its period, whichever process notices it."""
        for budget, account in accounts.items():
            if budget.period is BudgetPeriod.RUN or account not in balances:
                continue
            for level, used, limit in reached(budget, balances[account].used):
                if (account, level, limit) in self._announced:
                    continue
                # By the limit, too: one that was raised is reached again.
                name = f"{account.subject} {account.starts_at} {account.ends_at} {level} {limit}"
                first = await anyio.to_thread.run_sync(self._balances.mark, name, now)
                self._announced.add((account, level, limit))
                if first and self._bus is not None:
                    end = local_end(budget, account)
                    period = budget.period.value
                    self._bus.publish(
                        BudgetReached(budget.owner, account.subject, level.value, period, used, limit, end)
                    )


def _limits_routes(configuration: Configuration) -> bool:
    return any(one.provider is not None or one.model is not None for one in configuration.budgets)


def _standings(
    accounts: Mapping[SpendingBudget, BudgetAccount], balances: Balances, now: datetime
) -> tuple[BudgetStanding, ...]:
    return tuple(
        budget.standing(balances.get(account, AccountBalance()), now)
        for budget, account in accounts.items()
        if budget.period is not BudgetPeriod.RUN
    )
