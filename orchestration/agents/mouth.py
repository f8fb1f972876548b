"""How an agent talks to a model: through the gateway, with waiting, budgets and signs of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestration.clock import Clock
from orchestration.events import Bus
from orchestration.providers.failures import NoRouteError
from orchestration.providers.gateway import Gateway
from orchestration.providers.wire import Call, Completion, Progress
from orchestration.workflows.heartbeat import Heartbeat
from orchestration.workflows.model import AgentTask, Use
from orchestration.workflows.waiting import Waiting


class Mouth:
    """Asks a model and waits as long as no provider can answer."""

    def __init__(
        self, gateway: Gateway, waiting: Waiting, bus: Bus, clock: Clock, redact: Callable[[Any], Any]
    ) -> None:
        self._gateway = gateway
        self._waiting = waiting
        self._bus = bus
        self._clock = clock
        self._redact = redact

    async def ask(
        self,
        body: Mapping[str, Any],
        task: AgentTask,
        provider: str | None,
        model: str | None,
        key: str,
        seconds: float | None,
    ) -> Any:
        """One model call as a step: the message and what it cost, redacted, as JSON.

        `key` names the call, so that it is accounted for once even when the step is repeated. Time spent waiting for
        a provider is not counted.
        """
        heartbeat = Heartbeat(
            self._bus, self._clock, run_id=task.run_id, agent=task.agent, agent_run_id=key.rpartition("/")[0]
        )
        heartbeat.beat("asks a model")

        def progress(progress: Progress) -> None:
            heartbeat.beat(f"hears from {progress.route}", progress.completion_tokens)

        call = Call(
            run_id=task.run_id,
            agent=task.agent,
            key=key,
            provider=provider,
            model=model,
            seconds=seconds,
            progress=progress,
        )
        completion = await self._complete(body, call, task)
        return self._redact(
            {"message": dict(completion.message), "use": _use(completion), "route": str(completion.route)}
        )

    async def _complete(self, body: Mapping[str, Any], call: Call, task: AgentTask) -> Completion:
        while True:
            try:
                return await self._gateway.complete(body, call)
            except NoRouteError as error:
                async with self._waiting.on(task.run_id, task.agent, str(error), error.hints):
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
