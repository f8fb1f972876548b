"""Selecting the route that a call uses next, or how long it has to wait for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from orchestration.clock import Clock
from orchestration.config.schema import Configuration
from orchestration.providers.attempt_history import AttemptHistory
from orchestration.providers.breaker import BreakerState
from orchestration.providers.failures import NoRouteError
from orchestration.providers.route import RouteRecord
from orchestration.providers.route_table import RouteTable
from orchestration.providers.wire import GatewayCall

# A Retry-After or a backoff up to this long is waited out if no other route can be used; a longer one fails the call,
# so that the run is shown as waiting instead of looking slow.
_LONGEST_WAIT_SECONDS = 5.0


class RouteSelector:
    """Selects a route for each call. Its only side effect is to occupy a slot at the selected provider."""

    def __init__(self, routes: RouteTable, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._routes = routes
        self._configuration = configuration
        self._clock = clock

    def choose(self, call: GatewayCall, history: AttemptHistory) -> RouteRecord | float:
        """The first route that can be used now, with a slot occupied; otherwise the seconds until one may be usable.

        Raises NoRouteError if none will be usable soon enough, or the refusal of the last route.
        """
        candidates = self._routes.candidates(call)
        fallback = self._configuration().runtime.when_busy == "fallback"
        busy, pauses = False, []
        for record in candidates:
            pause = self._pause(record, history)
            if pause > 0:
                pauses.append(pause)
                continue
            # With `whenBusy: wait` a later route is taken only if no earlier one is merely busy.
            if not (busy and not fallback) and record.provider.try_acquire(self._clock.monotonic()):
                return record
            busy = True
        soonest = min(pauses, default=math.inf)
        if busy or soonest <= _LONGEST_WAIT_SECONDS:
            return soonest
        raise history.refusal or self.no_route(call, candidates, history)

    def admits(self, record: RouteRecord) -> bool:
        """Whether a new call may use a route now, provided that a slot is free."""
        return self._pause(record, AttemptHistory()) <= 0

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

    def _retry_at(self, candidates: Sequence[RouteRecord]) -> float | None:
        moments = [moment for record in candidates if (moment := record.breaker.usable_at()) is not None]
        if not moments:
            return None
        return self._clock.monotonic() + max(0.0, min(moments) - self._clock.now().timestamp())

    def _pause(self, record: RouteRecord, history: AttemptHistory) -> float:
        if record.breaker.state is not BreakerState.CLOSED:
            return math.inf
        monotonic = self._clock.monotonic()
        held = record.breaker.held_until
        held = held - self._clock.now().timestamp() if held else 0.0
        return max(held, record.provider.wait(monotonic), history.pause(record.route, monotonic))


def hints_of(records: Sequence[RouteRecord]) -> tuple[str, ...]:
    """What an operator can do about each provider, one line each."""
    return tuple(dict.fromkeys(f"{record.route.provider}: {record.provider.endpoint.hint}" for record in records))


def problem_of(record: RouteRecord, history: AttemptHistory) -> str:
    """Why a route cannot be used, in a few words."""
    if (latest := history.latest(record.route)) is not None:
        return f"{latest.outcome.replace('_', ' ')}, {latest.detail}"
    reason = record.breaker.reason.replace("_", " ") or "held back"
    return f"{reason}, {record.last_failure}".rstrip(", ")
