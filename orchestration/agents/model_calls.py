"""An agent's model calls: through the gateway, with waiting, budgets and signs of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestration.clock import Clock
from orchestration.events import Bus
from orchestration.providers.failures import NoRouteError
from orchestration.providers.gateway import Gateway
from orchestration.providers.wire import Call, Completion, Progress
from orchestration.workflows.heartbeat import Heartbeat
from orchestration.workflows.model import Use
from orchestration.workflows.waiting import Waiting


class ModelCalls:
    """Asks a model and waits as long as no provider can answer."""

    def __init__(
        self, gateway: Gateway, waiting: Waiting, bus: Bus, clock: Clock, redact: Callable[[Any], Any]
    ) -> None:
        self._gateway = gateway
        self._waiting = waiting
        self._bus = bus
        self._clock = clock
        self._redact = redact

    async def ask(self, agent_run_id: str, body: Mapping[str, Any], call: Call) -> Any:
        """One model call as a step: the message and what it cost, redacted, as JSON.

        Time spent waiting for a provider is not counted. The call's key makes it be accounted for once even when the
        step is repeated.
        """
        run_id, agent = call.run_id or "", call.agent or ""
        heartbeat = Heartbeat(self._bus, self._clock, run_id=run_id, agent=agent, agent_run_id=agent_run_id)
        heartbeat.beat("asks a model")

        def progress(progress: Progress) -> None:
            heartbeat.beat(f"hears from {progress.route}", progress.completion_tokens)

        completion = await self._complete(body, replace(call, progress=progress), run_id, agent)
        return self._redact(
            {"message": dict(completion.message), "use": _use(completion), "route": str(completion.route)}
        )

    async def _complete(self, body: Mapping[str, Any], call: Call, run_id: str, agent: str) -> Completion:
        while True:
            try:
                return await self._gateway.complete(body, call)
            except NoRouteError as error:
                async with self._waiting.on(run_id, agent, str(error), error.hints):
                    await self._gateway.wait_for_route(call)


def _use(completion: Completion) -> dict[str, Any]:
    use = Use(
        seconds=completion.seconds,
        model_calls=1,
        tokens=completion.usage.total,
        usd=completion.usd or 0.0,
        rehearsal=completion.rehearsal,
    )
    return use.model_dump(mode="json")
