"""The expected cost of a call, its real cost, and the event that records it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.events import EventBus
from orchestration.events.payload import EventPayload
from orchestration.events.providers import CallAttempt, ModelCallFailed, ModelCallFinished
from orchestration.ids import new_id
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.budget import SpentAmount
from orchestration.providers.dialects.prompt_size import asked_in, estimate_tokens
from orchestration.providers.route_table import RouteTable
from orchestration.providers.wire import ChatBody, Completion, GatewayCall, Route, TokenUsage
from orchestration.storage.spend import Charge


class UsageAccounting:
    """Prices calls by the configuration, and makes their charges and events."""

    def __init__(
        self, routes: RouteTable, configuration: Callable[[], Configuration], bus: EventBus, clock: Clock
    ) -> None:
        self._routes = routes
        self._configuration = configuration
        self._bus = bus
        self._clock = clock

    def expected(self, body: ChatBody, call: GatewayCall) -> SpentAmount:
        """The least that a call will need: its prompt and the answer tokens it asks for, at the most expensive
        route."""
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        usage = TokenUsage(estimate_tokens(asked_in(body)), int(most))
        prices = [self.price(record.route, usage) or 0.0 for record in self._routes.candidates(call)]
        return SpentAmount(usage.total, max(prices, default=0.0))

    def price(self, route: Route, usage: TokenUsage) -> float | None:
        """Dollars, by the prices in the configuration; None where it has none."""
        model = self._configuration().model(route.provider, route.model)
        if model is None or model.input_usd_per_million is None or model.output_usd_per_million is None:
            return None
        plain, read, written = (
            model.input_usd_per_million,
            model.cached_input_usd_per_million,
            model.cache_write_usd_per_million,
        )
        dollars = (usage.prompt_tokens - usage.cached_tokens - usage.cache_written_tokens) * plain
        dollars += usage.cached_tokens * (plain if read is None else read)
        dollars += usage.cache_written_tokens * (plain if written is None else written)
        dollars += usage.completion_tokens * model.output_usd_per_million
        return dollars / 1_000_000

    def charge(self, call: GatewayCall, completion: Completion | None, history: AttemptHistory) -> Charge | None:
        """The charge of a call, with what was used for attempts that were not answered to the end; None if it cost
        nothing. A call without a key is never repeated, so it gets a new one."""
        used = [*history.spent, *([(completion.route, completion.usage)] if completion else [])]
        if not used:
            return None
        route, now = used[-1][0], self._clock.now()
        prices = [self.price(one, usage) for one, usage in history.spent] + [completion.usd if completion else None]
        known = [price for price in prices if price is not None]
        key = call.key or new_id("call", now.timestamp())
        tokens = sum(usage.prompt_tokens for _, usage in used), sum(usage.completion_tokens for _, usage in used)
        usd = sum(known) if known else None
        return Charge(key, call.run_id, call.agent, route.provider, route.model, *tokens, usd, now)

    def publish(
        self, call: GatewayCall, completion: Completion | None, history: AttemptHistory, outcome: str, seconds: float
    ) -> None:
        """Publish the event of a call: route, attempts, time to first token, tokens, price, outcome."""
        tries = tuple(
            CallAttempt(str(one.route), one.outcome, one.status, one.seconds, one.detail) for one in history.tries
        )
        payload: EventPayload
        if completion is None:
            last = str(history.tries[-1].route) if history.tries else None
            payload = ModelCallFailed(call.key, outcome, seconds, tries, route=last)
        else:
            payload = ModelCallFinished(call.key, outcome, seconds, tries, **_facts(completion))
        self._bus.publish(payload, run_id=call.run_id, agent=call.agent)


def _facts(completion: Completion) -> dict[str, Any]:
    return {
        "route": str(completion.route),
        "first_token_seconds": completion.first_token_seconds,
        "tokens": completion.usage.total,
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "cached_tokens": completion.usage.cached_tokens,
        "estimated": completion.usage.estimated,
        "usd": completion.usd,
        "rehearsal": completion.rehearsal,
    }
