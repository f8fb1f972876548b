"""Asking providers whether they answer, without anything that runs agents."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import anyio

from orchestration.app.live_credentials import LiveCredentials, with_rehearsal
from orchestration.app.project import Project
from orchestration.config.schema import Configuration, ProviderKind
from orchestration.errors import NotFoundError
from orchestration.providers.budget import Budgets
from orchestration.providers.gateway import Gateway
from orchestration.providers.route import ProbeResult
from orchestration.rehearsal import RehearsalServer
from orchestration.storage.route_states import RouteStates
from orchestration.storage.spend import Spend


async def probe_providers(here: Project, names: Sequence[str], *, deep: bool) -> tuple[ProbeResult, ...]:
    """Ask providers at once, and tell other processes what came of it. Raises NotFoundError for an unknown one."""
    known = here.configuration.runtime.providers
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"expected a provider of the configuration ({', '.join(known)}), got '{name}'; correct the name"
            )
    async with _gateway(here, names) as gateway:
        results: dict[str, ProbeResult] = {}

        async def probe(name: str) -> None:
            results[name] = await gateway.probe(name, deep=deep)

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(probe, name)
    return tuple(results[name] for name in names)


@contextlib.asynccontextmanager
async def _gateway(here: Project, names: Sequence[str]) -> AsyncIterator[Gateway]:
    async with contextlib.AsyncExitStack() as stack:
        url: str | None = None
        if any(_embedded(here.configuration, name) for name in names):
            url = f"{(await stack.enter_async_context(RehearsalServer())).url}/v1"

        def effective() -> Configuration:
            return with_rehearsal(here.configuration, url)

        budgets = Budgets(Spend(here.database), effective)
        credentials, states = LiveCredentials(here.store), RouteStates(here.database)
        gateway = Gateway(effective, credentials, here.bus, here.clock, budgets, states, redact=here.redactor.text)
        yield await stack.enter_async_context(gateway.running())


def _embedded(configuration: Configuration, name: str) -> bool:
    settings = configuration.provider(name)
    return settings is not None and settings.type is ProviderKind.REHEARSAL and settings.base_url is None
