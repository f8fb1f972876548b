"""A gateway with everything that it needs, on a configuration that a test can edit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from orchestration.clock import Clock, SystemClock
from orchestration.config.schema import Configuration
from orchestration.events import Event, EventBus
from orchestration.providers.attempt import ChunkCallback
from orchestration.providers.budget import Budgets
from orchestration.providers.dialects.learned import LearnedDialect
from orchestration.providers.gateway import Gateway
from orchestration.providers.route import RouteStatus
from orchestration.providers.wire import Completion, GatewayCall
from orchestration.storage.budget_balances import BudgetBalances
from orchestration.storage.database import Database
from orchestration.storage.route_states import RouteStates
from tests.support.patience import Stopwatch, until_async

BODY = {"messages": [{"role": "user", "content": "Is it up?"}]}


def provider(url: str, **more: Any) -> dict[str, Any]:
    """Settings of a compatible server."""
    return {"type": "openai", "baseUrl": f"{url}/v1", "defaultModel": "m", **more}


def configuration(providers: Mapping[str, Mapping[str, Any]], **rest: Any) -> Configuration:
    """The first provider is the default, the others follow in order; `rest` goes into `runtime` or beside it."""
    beside = {name: rest.pop(name) for name in ("models", "agents", "budgets") if name in rest}
    names = list(providers)
    runtime = {"defaultProvider": names[0], "fallbackProviders": names[1:], **providers, **rest}
    return Configuration.model_validate({"runtime": runtime, **beside})


@dataclass
class Desk:
    """A gateway and what was said by it."""

    configuration: Configuration
    database: Database | None = None
    clock: Clock = field(default_factory=SystemClock)
    credentials: dict[str, str] = field(default_factory=dict)
    random: Callable[[], float] = lambda: 0.05
    redact: Callable[[str], str] = str
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bus = EventBus(self.clock)
        self.bus.subscribe(self.events.append)
        balances = BudgetBalances(self.database or Database("sqlite://"))
        self.gateway = Gateway(
            lambda: self.configuration,
            self.credentials,
            self.bus,
            self.clock,
            Budgets(balances, lambda: self.configuration, self.bus),
            RouteStates(self.database) if self.database else None,
            self.random,
            self.redact,
        )

    async def ask(
        self, on_chunk: ChunkCallback | None = None, body: Mapping[str, Any] = BODY, **call: Any
    ) -> Completion:
        return await self.gateway.complete(body, GatewayCall(**call), on_chunk)

    def status(self, provider: str) -> RouteStatus:
        return next(one for one in self.gateway.statuses() if one.provider == provider)

    def knows(self, provider: str) -> LearnedDialect:
        """What is known of the provider's route."""
        return next(one.learned for one in self.gateway._routes.all() if one.route.provider == provider)

    def teach(self, provider: str, learned: LearnedDialect) -> None:
        next(one for one in self.gateway._routes.all() if one.route.provider == provider).learned = learned

    def said(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def breakers(self, provider: str) -> list[str]:
        """The states that a provider's breaker went through, with the reasons."""
        kinds = ("route.opened", "route.half_open", "route.closed")
        told = [event for event in self.events if event.kind in kinds and event.data["provider"] == provider]
        return [f"{event.kind.removeprefix('route.')}: {event.data['reason']}" for event in told]


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait until it holds; how many seconds that took."""
    watch = Stopwatch()
    await until_async(condition, seconds)
    return watch.seconds


async def together(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run calls side by side; their results or their errors, in order. A failed assertion ends them all."""
    results: list[Any] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            results[index] = await call()
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 (handed to the test)
            results[index] = error

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(run, index, call)
    return results
