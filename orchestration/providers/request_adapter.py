"""Putting a request as one route understands it, and learning from what the route refuses."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import anyio

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.dialects.context_overflow import ContextOverflow
from orchestration.providers.dialects.context_window import (
    BYTES_PER_TOKEN,
    FoldedRequest,
    estimated_tokens,
    fold,
)
from orchestration.providers.dialects.dialect import (
    optional_left_out,
    refuses_usage,
    stepped_down,
    without_optional,
)
from orchestration.providers.dialects.learned import LIFETIME_SECONDS, LearnedDialect
from orchestration.providers.dialects.prompt_cache import CACHE_KEY, CACHE_MARK, cached, marks_cache
from orchestration.providers.dialects.wire_messages import wire_body
from orchestration.providers.endpoint import CallFailed
from orchestration.providers.failures import ConversationTooLongError, Failure
from orchestration.providers.route import RouteRecord
from orchestration.providers.wire import ChatBody, GatewayCall, Route, TokenUsage

# A prompt that does not fit this holds no task; a smaller number in a refusal is not the size of a context.
_LEAST_WINDOW = 1000
_GUESS_SECONDS = 3600.0
_ASK_SECONDS = 2.0
_LOWER = 0.6
_DENSEST = 1.0
# No text has more bytes to a token than prose in long English words.
_LIGHTEST = 6.0
# Below that, an estimate from a few words says nothing about the text.
_CALIBRATED_FROM_TOKENS = 500


class RequestAdapter:
    """Adapts requests to routes, as far as the caller can deal with answers in other forms."""

    def __init__(self, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._configuration = configuration
        self._clock = clock

    async def ask_for_window(self, record: RouteRecord, *, loaded: bool = False) -> int | None:
        """The context of a route's model, after the provider was asked for it where it is not known: once, and once
        more when the model is `loaded`; again when what was learned then would have expired."""
        now, asked = self._clock.monotonic(), record.asked_at.get(loaded, -math.inf)
        if self.window(record) is None and now - asked >= LIFETIME_SECONDS and not record.provider.rehearsal:
            record.asked_at[loaded] = now
            # A call that has its answer must not wait for this, nor fail for it.
            with contextlib.suppress(CallFailed), anyio.move_on_after(_ASK_SECONDS):
                await record.provider.endpoint.read_windows(self._clock.wall())
        return self.window(record)

    def window(self, record: RouteRecord) -> int | None:
        """The context of a route's model, in tokens: as configured, as the server lists it, or as its refusals have
        taught; the smallest, if several are known."""
        settings = self._configuration().model(record.route.provider, record.route.model)
        known = (
            settings.context_tokens if settings else None,
            self._learned(record).known_window,
            record.guessed_window if self._clock.monotonic() < record.guessed_until else None,
        )
        return min((size for size in known if size is not None), default=None)

    def with_parameters(self, route: Route, body: ChatBody) -> ChatBody:
        """The request with the parameters of the model that the caller has not set."""
        settings = self._configuration().model(route.provider, route.model)
        if settings is None:
            return body
        provider = self._configuration().provider(route.provider)
        # Ollama loads a model with the context that is asked for, and otherwise with a small one of its own.
        sized = settings.context_tokens is not None and provider is not None and provider.type is ProviderKind.OLLAMA
        window = {"num_ctx": settings.context_tokens} if sized else {}
        return {**window, **settings.parameters.request_fields, **body}

    def understood(self, record: RouteRecord, body: ChatBody, call: GatewayCall) -> ChatBody:
        """The request as a route understands it, folded to its context. Raises ConversationTooLongError where turns
        would have to be left out of it, and the caller condenses its conversation itself."""
        if not call.adaptable:
            return without_optional(body, self._learned(record).dialect, call.optional) if call.optional else body
        folded = self._folded(record, body, call)
        if folded.left_out and call.condenses:
            raise ConversationTooLongError(record.route, self.window(record) or 0)
        about = f"{call.run_id or ''}/{call.agent or ''}"
        return cached(folded.body, record.provider.settings.prompt_cache, about, record.learned.dialect.left_out)

    def adapts(self, record: RouteRecord, body: ChatBody, sent: ChatBody, call: GatewayCall, failure: Failure) -> bool:
        """Whether a refused request is worth repeating in another form, which is then remembered for the route. `sent`
        is the request as it was refused."""
        endpoint = record.provider.endpoint
        if endpoint.asks_for_usage and refuses_usage(failure):
            endpoint.asks_for_usage = False
            return True
        if not call.adaptable:
            return self._leaves_out(record, sent, call, failure)
        if failure.overflow is not None:
            return self._reads_less(record, body, sent, call, failure.overflow)
        learned = self._learned(record)
        marks: dict[str, Any] = {CACHE_MARK: True} if marks_cache(sent) else {}
        marks |= {CACHE_KEY: sent[CACHE_KEY]} if CACHE_KEY in sent else {}
        lower = stepped_down(learned.dialect, failure, {**body, **marks})
        if lower is not None:
            record.learned = learned.with_dialect(lower, self._now())
        return lower is not None

    def _leaves_out(self, record: RouteRecord, sent: ChatBody, call: GatewayCall, failure: Failure) -> bool:
        """Whether a request was refused for a field that its translation has added."""
        learned = self._learned(record)
        lower = optional_left_out(learned.dialect, failure, sent, call.optional) if call.optional else None
        if lower is not None:
            record.learned = learned.with_dialect(lower, self._now())
        return lower is not None

    def too_small(self, body: ChatBody, records: Sequence[RouteRecord]) -> int:
        """The largest context, in tokens, among those of the routes that a conversation is sure to exceed; 0 if it may
        fit everywhere, or nowhere: then the server has the last word."""
        windows = [self.window(record) or math.inf for record in records]
        if min(windows, default=math.inf) == math.inf:
            return 0
        tokens = estimated_tokens(body, _LIGHTEST)
        exceeded = [int(window) for window in windows if window < tokens]
        return max(exceeded) if exceeded and len(exceeded) < len(windows) else 0

    def learn_window(self, record: RouteRecord, overflow: ContextOverflow) -> int:
        """Remember the context that a refusal has named; returns the known context of the route, or 0."""
        known = self.window(record)
        if (limit := overflow.limit) is not None and limit >= _LEAST_WINDOW and (known is None or limit < known):
            record.learned = self._learned(record).with_window(limit, self._now())
        return self.window(record) or 0

    def calibrate(self, record: RouteRecord, sent: ChatBody, usage: TokenUsage) -> None:
        """Return to the usual estimate of tokens as far as the provider's own count of an answered request allows."""
        if record.bytes_per_token < BYTES_PER_TOKEN and usage.prompt_tokens >= _CALIBRATED_FROM_TOKENS:
            counted = estimated_tokens(sent, 1.0) / usage.prompt_tokens
            record.bytes_per_token = min(BYTES_PER_TOKEN, max(record.bytes_per_token, counted))

    def _folded(self, record: RouteRecord, body: ChatBody, call: GatewayCall) -> FoldedRequest:
        dialect, window = self._learned(record).dialect, self.window(record)
        wired = wire_body(
            body, dialect.spelled_out() if str(record.route) in call.avoided else dialect, str(record.route)
        )
        return FoldedRequest(wired) if window is None else fold(wired, window, record.bytes_per_token)

    def _reads_less(
        self, record: RouteRecord, body: ChatBody, sent: ChatBody, call: GatewayCall, overflow: ContextOverflow
    ) -> bool:
        """Whether a request that was too long can be made shorter, after what the refusal has taught."""
        window, tokens = self.window(record), estimated_tokens(sent, record.bytes_per_token)
        limit = overflow.limit if (overflow.limit or 0) >= _LEAST_WINDOW else None
        guess = int(min(tokens, window or tokens) * _LOWER)
        if limit is not None and (window is None or limit < window):
            record.learned = self._learned(record).with_window(limit, self._now())
        elif limit is not None and record.bytes_per_token * _LOWER >= _DENSEST:
            # It was folded to this size, so its text has more tokens than was thought: hexadecimal, say.
            record.bytes_per_token *= _LOWER
        elif limit is None and guess >= _LEAST_WINDOW:
            record.guessed_window, record.guessed_until = guess, self._clock.monotonic() + _GUESS_SECONDS
        else:
            return False
        # What cannot be left out stays too long, however often it is sent.
        return estimated_tokens(self._folded(record, body, call).body, 1.0) < estimated_tokens(sent, 1.0)

    def _learned(self, record: RouteRecord) -> LearnedDialect:
        record.learned = record.with_listed(self._now()).current(self._now())
        return record.learned

    def _now(self) -> float:
        return self._clock.now().timestamp()
