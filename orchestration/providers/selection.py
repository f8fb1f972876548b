"""Which route a call takes next, or how long it has to wait for one."""

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

# A wait that a provider asks for, or a backoff, is sat out up to this long when nothing else can be used.
_LONGEST_WAIT_SECONDS = 5.0


class RouteSelector:
    """Chooses for one call after the other; knows the configuration and the time, and changes only places taken."""

    def __init__(self, routes: RouteTable, configuration: Callable[[], Configuration], clock: Clock) -> None:
        self._routes = routes
        self._configuration = configuration
        self._clock = clock

    def choose(self, call: GatewayCall, history: AttemptHistory) -> RouteRecord | float:
        """The first route that can be used now, a place taken there; else seconds until one may be.

        Raises NoRouteError when none will be within our patience, or the refusal that the last route gave.
        """
        candidates = self._routes.candidates(call)
        fallback = self._configuration().runtime.when_busy == "fallback"
        busy, pauses = False, []
        for record in candidates:
            pause = self._pause(record, history)
            if pause > 0:
                pauses.append(pause)
                continue
            if not (busy and not fallback) and record.provider.try_acquire(self._clock.monotonic()):
                return record
            busy = True
        soonest = min(pauses, default=math.inf)
        if busy or soonest <= _LONGEST_WAIT_SECONDS:
            return soonest
        raise history.refusal or self.no_route(call, candidates, history)

    def admits(self, record: RouteRecord) -> bool:
        """Whether a new call may use a route now, if a place is free."""
        return self._pause(record, AttemptHistory()) <= 0

    def no_route(self, call: GatewayCall, candidates: Sequence[RouteRecord], history: AttemptHistory) -> NoRouteError:
        """What to tell a caller whom nobody can answer now."""
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
    """What a person can do about each provider, one line each."""
    return tuple(dict.fromkeys(f"{record.route.provider}: {record.provider.endpoint.hint}" for record in records))


def problem_of(record: RouteRecord, history: AttemptHistory) -> str:
    """Why a route cannot be used, in a few words."""
    if (latest := history.latest(record.route)) is not None:
        return f"{latest.outcome.replace('_', ' ')}, {latest.detail}"
    reason = record.breaker.reason.replace("_", " ") or "held back"
    return f"{reason}, {record.last_failure}".rstrip(", ")
