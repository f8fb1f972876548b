"""What calls may cost: a hard stop before the call that would go over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio.to_thread

from orchestration.config.schema import Configuration
from orchestration.providers.failures import BudgetExceededError
from orchestration.providers.wire import Call
from orchestration.storage.spend import Charge, Spend

_Scope = tuple[str, str | None]


@dataclass(slots=True)
class _Account:
    """What a run, or one agent of it, has used and what its open calls may still use."""

    tokens: int = 0
    usd: float = 0.0
    reserved: dict[int, int] = field(default_factory=dict)


class Budgets:
    """Limits on tokens and money for each run and for each agent in it; calls without a limit cost nothing here."""

    def __init__(self, spend: Spend, configuration: Callable[[], Configuration]) -> None:
        self._spend = spend
        self._configuration = configuration
        self._accounts: dict[_Scope, _Account] = {}

    async def reserve(self, call: Call, tokens: int) -> list[_Account]:
        """Set tokens aside for a call about to be made. Raises BudgetExceededError when that would go over a limit."""
        held = []
        for scope, limits in self._scopes(call):
            account = self._accounts.get(scope)
            if account is None:
                used = await anyio.to_thread.run_sync(self._spend.totals, *scope)
                account = self._accounts.setdefault(scope, _Account(*used))
            _check(scope, limits, account, tokens)
            held.append(account)
        for account in held:
            account.reserved[id(call)] = tokens
        return held

    async def settle(self, call: Call, held: list[_Account], charge: Charge | None) -> None:
        """Put what the call really cost in the place of what was set aside; None when it cost nothing."""
        for account in held:
            account.reserved.pop(id(call), None)
        if charge is None or not held or not await anyio.to_thread.run_sync(self._spend.record, charge):
            return
        for account in held:
            account.tokens += charge.prompt_tokens + charge.completion_tokens
            account.usd += charge.usd or 0.0

    def _scopes(self, call: Call) -> list[tuple[_Scope, tuple[int | None, float | None]]]:
        if call.run_id is None:
            return []
        configuration = self._configuration()
        run = configuration.runtime.limits
        agent = configuration.agent(call.agent) if call.agent else None
        scopes: list[tuple[_Scope, tuple[int | None, float | None]]] = [((call.run_id, None), (run.tokens, run.usd))]
        if agent is not None:
            scopes.append(((call.run_id, call.agent), (agent.limits.tokens, agent.limits.usd)))
        return [(scope, limits) for scope, limits in scopes if limits != (None, None)]


def _check(scope: _Scope, limits: tuple[int | None, float | None], account: _Account, tokens: int) -> None:
    who = f"agent {scope[1]} of run {scope[0]}" if scope[1] else f"run {scope[0]}"
    most_tokens, most_usd = limits
    expected = account.tokens + sum(account.reserved.values()) + tokens
    if most_tokens is not None and expected > most_tokens:
        raise BudgetExceededError(
            f"{who} may use {most_tokens:,} tokens and has used {account.tokens:,}; this call needs about {tokens:,} "
            "more. Raise `limits.tokens` in the configuration and resume the run"
        )
    if most_usd is not None and account.usd >= most_usd:
        raise BudgetExceededError(
            f"{who} may spend ${most_usd:,.2f} and has spent ${account.usd:,.2f}. "
            "Raise `limits.usd` in the configuration and resume the run"
        )
