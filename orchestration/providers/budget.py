"""Budgets: a hard stop before the call that would exceed one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import anyio
import anyio.to_thread

from orchestration.config.schema import Configuration
from orchestration.config.usage_limits import UsageLimits
from orchestration.providers.failures import BudgetExceededError
from orchestration.providers.wire import Allowance, GatewayCall
from orchestration.storage.spend import Charge, Spend


@dataclass(frozen=True, slots=True)
class SpentAmount:
    """Tokens, and dollars where prices are known."""

    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: SpentAmount) -> SpentAmount:
        return SpentAmount(self.tokens + other.tokens, self.usd + other.usd)


@dataclass(frozen=True, slots=True)
class BudgetScope:
    """Whose spending is summed: that of a run, of one agent in it, or of everybody or one client since a moment."""

    run_id: str | None = None
    agent: str | None = None
    since: datetime | None = None

    def __str__(self) -> str:
        if self.run_id is None:
            return self.agent or "this project"
        return f"agent {self.agent} of run {self.run_id}" if self.agent else f"run {self.run_id}"


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a scope may use, and the keys of the settings that say so."""

    tokens: int | None
    usd: float | None
    tokens_key: str = "limits.tokens"
    usd_key: str = "limits.usd"

    def __bool__(self) -> bool:
        return self.tokens is not None or self.usd is not None


@dataclass(frozen=True, slots=True, eq=False)
class Reservation:
    """What is set aside for one call in progress."""

    scopes: tuple[BudgetScope, ...]
    amount: SpentAmount


class Budgets:
    """Limits on tokens and money per run, per agent in it, per client and per day. Calls without a limit cost nothing
    here.

    Spending is read from the database each time, so that concurrent processes see each other's; what calls in progress
    may still use is set aside in this process.
    """

    def __init__(self, spend: Spend, configuration: Callable[[], Configuration]) -> None:
        self._spend = spend
        self._configuration = configuration
        self._open: set[Reservation] = set()
        self._lock = anyio.Lock()

    async def reserve(self, call: GatewayCall, expect: Callable[[], SpentAmount], now: datetime) -> Reservation | None:
        """Set aside the expected cost of a call; None if nothing limits the call, and `expect` is not called then.

        Raises BudgetExceededError if that would exceed a limit. The lock makes check and reservation one step:
        otherwise calls that start together would each fit, and together exceed the budget.
        """
        limits = dict(self._limits(call, now))
        if not limits:
            return None
        amount = expect()
        reservation = Reservation(tuple(limits), amount)
        async with self._lock:
            used = await anyio.to_thread.run_sync(self._used, reservation.scopes)
            for scope, limit in limits.items():
                _check(scope, limit, used[scope], sum(self._set_aside(scope), SpentAmount()), amount)
            self._open.add(reservation)
        return reservation

    async def settle(self, reservation: Reservation, charge: Charge | None) -> None:
        """Replace what was set aside by the real cost; None if the call cost nothing."""
        async with self._lock:
            try:
                if charge is not None:
                    await anyio.to_thread.run_sync(self._spend.add, charge)
            finally:
                # Even if the charge cannot be written: a reservation that stays would shrink the budget for good.
                self._open.discard(reservation)

    def _used(self, scopes: tuple[BudgetScope, ...]) -> dict[BudgetScope, SpentAmount]:
        return {scope: SpentAmount(*self._spend.totals(scope.run_id, scope.agent, scope.since)) for scope in scopes}

    def _set_aside(self, scope: BudgetScope) -> Iterator[SpentAmount]:
        return (one.amount for one in self._open if scope in one.scopes)

    def _limits(self, call: GatewayCall, now: datetime) -> Iterator[tuple[BudgetScope, _Limit]]:
        configuration = self._configuration()
        runtime = configuration.runtime
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        if day := _Limit(runtime.daily_tokens, runtime.daily_usd, "runtime.dailyTokens", "runtime.dailyUsd"):
            yield BudgetScope(since=today), day
        if call.run_id is None:
            if call.daily and (own := _Limit(call.daily.tokens, call.daily.usd, "daily_tokens", "daily_usd")):
                yield BudgetScope(agent=call.agent, since=today), own
            return
        if run := _run_limit(call, runtime.limits):
            yield BudgetScope(call.run_id), run
        agent = configuration.agent(call.agent) if call.agent else None
        if agent is not None and (limit := _Limit(agent.limits.tokens, agent.limits.usd)):
            yield BudgetScope(call.run_id, call.agent), limit


def _run_limit(call: GatewayCall, limits: UsageLimits) -> _Limit:
    """The limits of a run: those that it was started with, where they are lower than the configuration's."""
    own = call.allowance or Allowance()
    tokens_are_own = own.tokens is not None and (limits.tokens is None or own.tokens <= limits.tokens)
    usd_is_own = own.usd is not None and (limits.usd is None or own.usd <= limits.usd)
    return _Limit(
        own.tokens if tokens_are_own else limits.tokens,
        own.usd if usd_is_own else limits.usd,
        "--tokens" if tokens_are_own else "limits.tokens",
        "--usd" if usd_is_own else "limits.usd",
    )


def _check(scope: BudgetScope, limit: _Limit, used: SpentAmount, aside: SpentAmount, needed: SpentAmount) -> None:
    expected = used + aside + needed
    period = " today" if scope.since else ""
    if limit.tokens is not None and expected.tokens > limit.tokens:
        others = f" and set {aside.tokens:,} aside for calls under way" if aside.tokens else ""
        raise BudgetExceededError(
            f"{scope} may use {limit.tokens:,} tokens{period} and has used {used.tokens:,}{others}; this call needs "
            f"about {needed.tokens:,} more. {_advice(scope, limit.tokens_key)}"
        )
    # A model without prices is expected to cost nothing, which would pass even when the limit is used up.
    if limit.usd is not None and (expected.usd > limit.usd or used.usd >= limit.usd):
        others = f" and set ${aside.usd:,.2f} aside for calls under way" if aside.usd else ""
        raise BudgetExceededError(
            f"{scope} may spend ${limit.usd:,.2f}{period} and has spent ${used.usd:,.2f}{others}. "
            f"{_advice(scope, limit.usd_key)}"
        )


def _advice(scope: BudgetScope, key: str) -> str:
    if scope.agent and scope.since:
        return f"Give it a token with a higher `{key}`, or ask again tomorrow (UTC)"
    if scope.since:
        return f"Raise `{key}` in the configuration, or resume the run tomorrow (UTC)"
    if key.startswith("--"):
        return f"The run was started with this limit: start another one with a higher `{key}`"
    return f"Raise `{key}` in the configuration and resume the run"
