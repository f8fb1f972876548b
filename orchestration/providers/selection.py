"""Selecting the route that a call uses next, or how long it has to wait for one.

The first route that can be used now is used, with three exceptions. A route whose wait is short is waited for, unless
another is cheaper. Routes whose context is known to be too small for the conversation are left out. And where every
route is open, one call at a time may try one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.domain.answer_continuation import AnswerContinuation
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.breaker import BreakerState
from orchestration.providers.failures import NoRouteError
from orchestration.providers.route import RouteRecord
from orchestration.providers.route_table import RouteTable
from orchestration.providers.wire import GatewayCall, Route

# A Retry-After or a backoff up to this long is waited out if no other route can be used; a longer one fails the call,
# so that the run is shown as waiting instead of looking slow.
_LONGEST_WAIT_SECONDS = 5.0
# So long a preferred route is waited for although another could be used: less than the answer itself takes, and the
# other may be the worse model, or the dearer one.
_SHORT_WAIT_SECONDS = 2.0

WindowOf = Callable[[RouteRecord], int | None]


class RouteSelector:
    """Selects a route for each call. Its side effects are to occupy a slot at the selected provider, to begin a trial
    and to note which open routes are wanted."""

    def __init__(
        self, routes: RouteTable, configuration: Callable[[], Configuration], clock: Clock, window: WindowOf
    ) -> None:
        self._routes = routes
        self._configuration = configuration
        self._clock = clock
        self._window = window

    def choose(self, call: GatewayCall, history: AttemptHistory) -> RouteRecord | float:
        """The first route that can be used now, with a slot occupied; otherwise the seconds until one may be usable.

        Raises NoRouteError if none will be usable soon enough, or the refusal of the last route.
        """
        candidates = self._suitable(call, history)
        fallback = self._configuration().runtime.when_busy == "fallback"
        busy, pauses = False, []
        history.alternatives = len(candidates) > 1
        for record in candidates:
            pause = self._pause(record, history)
            if pause > 0:
                pauses.append(pause)
                if not busy and self._is_worth_waiting(record, pause, candidates, history):
                    return pause
                continue
            # With `whenBusy: wait` a later route is taken only if no earlier one is merely busy.
            if not (busy and not fallback) and record.provider.try_acquire(self._clock.monotonic()):
                return record
            busy = True
        soonest = min(pauses, default=math.inf)
        if busy or soonest <= _LONGEST_WAIT_SECONDS:
            return soonest
        if (trial := self._trial(candidates, history)) is not None:
            return trial
        raise history.refusal or self.no_route(call, candidates, history)

    def second(self, call: GatewayCall, history: AttemptHistory, first: RouteRecord) -> RouteRecord | None:
        """Another route that can be used now for the same call, with a slot occupied: one that costs nothing, or any if
        the call is hedged."""
        for record in self._suitable(call, history):
            usable = record is not first and self._pause(record, history) <= 0
            if (
                usable
                and (call.hedged or self._is_free(record))
                and record.provider.try_acquire(self._clock.monotonic())
            ):
                return record
        return None

    def may_be_hedged(self, call: GatewayCall, history: AttemptHistory, first: RouteRecord) -> bool:
        """Whether there is another route that `second` may find."""
        others = (record for record in self._suitable(call, history) if record is not first)
        return any(call.hedged or self._is_free(record) for record in others)

    def admits(self, record: RouteRecord) -> bool:
        """Whether a new call may use a route now, provided that a slot is free."""
        return self._pause(record, AttemptHistory()) <= 0

    def end_trial(self, record: RouteRecord, history: AttemptHistory, *, answered: bool) -> None:
        """Count the trial of a call, if it had one, as ended."""
        if history.trial is not None:
            history.trial = None
            record.trial.end(self._clock.monotonic(), answered=answered)

    def abandon_trial(self, history: AttemptHistory) -> None:
        """Count the trial of a call that was cancelled, if it had one, as never begun."""
        if history.trial is not None:
            self._routes.record(history.trial).trial.abandon()
            history.trial = None

    def no_route(self, call: GatewayCall, candidates: Sequence[RouteRecord], history: AttemptHistory) -> NoRouteError:
        """The error for a call that no provider can answer now."""
        if not candidates:
            name = call.provider or self._configuration().runtime.default_provider
            return NoRouteError(f"no provider can be used: '{name}' is disabled or has no `defaultModel`")
        states = "; ".join(f"{record.route}: {problem_of(record, history)}" for record in candidates)
        return NoRouteError(
            f"no provider can answer now ({states})",
            tuple(history.tries),
            retry_at=self._retry_at(candidates),
            hints=hints_of(candidates),
        )

    def can_continue(self, call: GatewayCall) -> bool:
        """Whether an answer of the route that is asked first could be gone on with if it broke off: on another route,
        or where there is none, on the same."""
        candidates = self._routes.candidates(call)
        return any(_continues(record) and self.admits(record) for record in candidates[1:] or candidates)

    def _suitable(self, call: GatewayCall, history: AttemptHistory) -> list[RouteRecord]:
        """The routes that a call may use, without those that are known to be too small for it."""
        candidates = self._routes.candidates(call)
        if call.shown:
            candidates = [record for record in candidates if _continues(record)]
        if not history.too_small:
            return candidates
        larger = self._routes.with_larger_context(call, history.too_small)
        return [
            record
            for record in (*candidates, *(one for one in larger if one not in candidates))
            if (self._window(record) or math.inf) > history.too_small
        ]

    def _is_worth_waiting(
        self, record: RouteRecord, pause: float, candidates: Sequence[RouteRecord], history: AttemptHistory
    ) -> bool:
        """Whether a call had better wait for a route than use another: the wait is short, it has not been in vain
        before, and no other route is cheaper."""
        now = self._clock.monotonic()
        until = history.short_waits_until
        # Our own limit of requests in a minute means that the provider is busy, as a slot that is taken does.
        if pause > _SHORT_WAIT_SECONDS or history.failures(record.route) > 1 or record.provider.wait(now) > 0:
            return False
        if until is not None and now + pause > until:
            return False
        price = self._price(record.route)
        others = (other for other in candidates if other is not record and self._pause(other, history) <= 0)
        prices = (self._price(other.route) for other in others)
        if price is not None and any(other is not None and other < price for other in prices):
            return False
        history.short_waits_until = now + _SHORT_WAIT_SECONDS if until is None else until
        return True

    def _trial(self, candidates: Sequence[RouteRecord], history: AttemptHistory) -> RouteRecord | float | None:
        """An open route to be tried, with a slot occupied, or the seconds until one may be; None if there is none."""
        now = self._clock.monotonic()
        if history.trials_until is None:
            history.trials_until = now + _LONGEST_WAIT_SECONDS
        waits = []
        for record in candidates:
            if not record.breaker.is_worth_a_trial or history.failures(record.route):
                continue
            wait = record.trial.wait(now)
            if wait <= 0 and record.provider.try_acquire(now):
                record.trial.begin()
                history.trial = record.route
                return record
            waits.append(wait)
        # The end of a trial that is in progress wakes those who wait.
        left = history.trials_until - now
        return min(*waits, left) if waits and left > 0 else None

    def _is_free(self, record: RouteRecord) -> bool:
        return record.provider.settings.type is ProviderKind.OLLAMA or self._price(record.route) == 0

    def _price(self, route: Route) -> float | None:
        model = self._configuration().model(route.provider, route.model)
        if model is None or model.input_usd_per_million is None or model.output_usd_per_million is None:
            return None
        return model.input_usd_per_million + model.output_usd_per_million

    def _retry_at(self, candidates: Sequence[RouteRecord]) -> float | None:
        moments = [moment for record in candidates if (moment := record.breaker.usable_at()) is not None]
        if not moments:
            return None
        return self._clock.monotonic() + max(0.0, min(moments) - self._clock.now().timestamp())

    def _pause(self, record: RouteRecord, history: AttemptHistory) -> float:
        monotonic = self._clock.monotonic()
        if record.breaker.state is not BreakerState.CLOSED:
            record.wanted_at = monotonic
            return math.inf
        held = record.breaker.held_until
        held = held - self._clock.now().timestamp() if held else 0.0
        return max(held, record.provider.wait(monotonic), history.pause(record.route, monotonic))


def _continues(record: RouteRecord) -> bool:
    return record.provider.settings.effective_continuation is not AnswerContinuation.NONE


def hints_of(records: Sequence[RouteRecord]) -> tuple[str, ...]:
    """What an operator can do about each provider, one line each."""
    return tuple(dict.fromkeys(f"{record.route.provider}: {record.provider.endpoint.hint}" for record in records))


def problem_of(record: RouteRecord, history: AttemptHistory) -> str:
    """Why a route cannot be used, in a few words."""
    if (latest := history.latest(record.route)) is not None:
        return f"{latest.outcome.replace('_', ' ')}, {latest.detail}"
    reason = record.breaker.reason.replace("_", " ") or "held back"
    return f"{reason}, {record.last_failure}".rstrip(", ")
