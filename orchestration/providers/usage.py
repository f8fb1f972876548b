"""The expected cost of a call, its real cost, and the event that records it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.budget import SpentAmount
from orchestration.events import EventBus
from orchestration.events.payload import EventPayload
from orchestration.events.providers import CallAttempt, CallUse, ModelCallFailed, ModelCallFinished
from orchestration.ids import new_id
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.budget import ExpectedUse
from orchestration.providers.dialects.prompt_size import asked_in, estimate_tokens
from orchestration.providers.route_table import RouteTable
from orchestration.providers.wire import ChatBody, Completion, GatewayCall, ModelApi, Route, TokenUsage
from orchestration.storage.charge import Charge

# Set aside for an answer without a limit: most are shorter. docs/reference/providers.md says so.
_USUAL_ANSWER = 1000


class UsageAccounting:
    """Prices calls by the configuration, and makes their charges and events."""

    def __init__(
        self, routes: RouteTable, configuration: Callable[[], Configuration], bus: EventBus, clock: Clock
    ) -> None:
        self._routes = routes
        self._configuration = configuration
        self._bus = bus
        self._clock = clock

    def expected(self, body: ChatBody, call: GatewayCall) -> ExpectedUse:
        """What a call will need at the most expensive route: its prompt, and the answer that it asks for."""
        prompt = estimate_tokens(asked_in(body))
        asked = _answer_limit(body)
        usual = 0 if call.api is ModelApi.EMBEDDINGS else _USUAL_ANSWER
        least = TokenUsage(prompt, asked or 0)
        likely = TokenUsage(prompt, usual) if asked is None else least
        return ExpectedUse(self._priced(least, call), self._priced(likely, call))

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

    def charge(self, call: GatewayCall, completion: Completion | None, history: AttemptHistory, outcome: str) -> Charge:
        """The charge of a call, with what was used for attempts that were not answered to the end."""
        used = [*history.spent, *([(completion.route, completion.usage)] if completion else [])]
        now = self._clock.now()
        tried = history.tries[-1].route if history.tries else None
        route = used[-1][0] if used else tried or Route("", "")
        prices = [self.price(one, usage) for one, usage in history.spent] + [completion.usd if completion else None]
        known = [price for price in prices if price is not None]
        return Charge(
            self._key(call, completion),
            call.run_id,
            call.agent,
            route.provider,
            route.model,
            sum(usage.prompt_tokens for _, usage in used),
            sum(usage.completion_tokens for _, usage in used),
            sum(known) if known else None,
            now,
            call.client.team if call.client else None,
            outcome,
            sum(usage.cached_tokens for _, usage in used),
            sum(usage.cache_written_tokens for _, usage in used),
            sum(usage.thinking_tokens for _, usage in used),
        )

    def publish(
        self,
        call: GatewayCall,
        completion: Completion | None,
        history: AttemptHistory,
        charge: Charge,
        seconds: float,
    ) -> None:
        """Publish the event of a call: route, attempts, time to first token, tokens, price, outcome."""
        tries = tuple(
            CallAttempt(str(one.route), one.outcome, one.status, one.seconds, one.detail) for one in history.tries
        )
        common = call.key, charge.outcome, seconds, tries
        payload: EventPayload
        if completion is None:
            last = str(history.tries[-1].route) if history.tries else None
            payload = ModelCallFailed(*common, route=last, use=_use(charge))
        else:
            payload = ModelCallFinished(*common, **_facts(completion), use=_use(charge))
        self._bus.publish(payload, run_id=call.run_id, agent=call.agent)

    def _priced(self, usage: TokenUsage, call: GatewayCall) -> SpentAmount:
        prices = [self.price(record.route, usage) or 0.0 for record in self._routes.candidates(call)]
        return SpentAmount(usage.total, max(prices, default=0.0))

    def _key(self, call: GatewayCall, completion: Completion | None) -> str:
        """The key of a charge. A call without one is never repeated, so it gets a new one; and so does one that has
        failed, since what it has used is paid for even if the step is repeated and answered then."""
        if call.key and completion is not None:
            return call.key
        return new_id("call", self._clock.now().timestamp())


def _use(charge: Charge) -> CallUse:
    route = f"{charge.provider}/{charge.model}" if charge.provider else ""
    return CallUse(
        charge.key, route, charge.prompt_tokens, charge.completion_tokens, charge.usd, charge.cached_tokens,
        charge.cache_written_tokens, charge.thinking_tokens, charge.team,
    )  # fmt: skip


def _answer_limit(body: ChatBody) -> int | None:
    """How many tokens the answer may have; None if the request does not say."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return int(limit) if isinstance(limit, int | float) else None


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
