"""Probing providers, without anything that runs agents."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import anyio

from orchestration.app.live_credentials import LiveCredentials
from orchestration.app.project import ProjectRecords
from orchestration.config.isolation import require_not_isolated
from orchestration.config.schema import Configuration
from orchestration.errors import NotFoundError
from orchestration.providers.budget import Budgets
from orchestration.providers.gateway import Gateway
from orchestration.providers.route import ProbeResult
from orchestration.runs.rehearsal import EmbeddedRehearsal, is_embedded
from orchestration.storage.budget_balances import BudgetBalances
from orchestration.storage.route_states import RouteStates


async def probe_providers(here: ProjectRecords, names: Sequence[str], *, deep: bool) -> tuple[ProbeResult, ...]:
    """Probe providers in parallel, and share the results with other processes. Raises NotFoundError for an unknown
    name, and IsolatedError."""
    require_not_isolated(here.store, "probe a provider")
    known = here.configuration.runtime.providers
    for name in names:
        if name not in known:
            raise NotFoundError(f"There is no provider '{name}'. Configured providers: {', '.join(known)}.")
    async with _gateway(here, names) as gateway:
        results: dict[str, ProbeResult] = {}

        async def probe(name: str) -> None:
            results[name] = await gateway.probe(name, deep=deep)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(probe, name)
    return tuple(results[name] for name in names)


@contextlib.asynccontextmanager
async def _gateway(here: ProjectRecords, names: Sequence[str]) -> AsyncIterator[Gateway]:
    async with EmbeddedRehearsal() as rehearsal:
        known = here.configuration.runtime.providers
        # A server is started only if it is probed: `orchestrator providers probe NAME` should touch nothing else.
        if any(is_embedded(known[name]) for name in names):
            await rehearsal.start()

        def effective() -> Configuration:
            return rehearsal.apply_to(here.configuration)

        budgets = Budgets(BudgetBalances(here.database), effective, here.bus)
        credentials, states = LiveCredentials(here.store), RouteStates(here.database)
        gateway = Gateway(effective, credentials, here.bus, here.clock, budgets, states, redact=here.redactor.text)
        async with gateway.running():
            yield gateway
