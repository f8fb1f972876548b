"""The attempts of one call so far, and which routes are still worth trying. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from orchestration.providers.failures import Failure, FailureKind, RequestRefusedError
from orchestration.providers.wire import Route, RouteTry, TokenUsage

# With backoff, three attempts take a few seconds. After that waiting is honest, and another attempt only load.
_TRIES_PER_ROUTE = 3
# Temporary by nature, so worth another attempt after a wait if no other route is usable sooner.
_AGAIN_LATER = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})


@dataclass(slots=True)
class _RouteFailures:
    """A route that has failed in this call: how often, and from when it may be tried again (monotonic seconds)."""

    failures: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class AttemptHistory:
    """The attempts of one call; times are monotonic seconds.

    `refusal` is set if a route refused the request and another may still answer it. `short_waits_until` and
    `trials_until` end the waits for a preferred route and for a trial; `trial` is the open route on which this call has
    a trial, and `alternatives` tells whether there was more than one route to choose from. `too_small` is the largest
    context, in tokens, that the conversation is known to exceed. `spent` are the tokens of attempts that were ended in
    the middle of an answer: they are paid for, too.
    """

    tries: list[RouteTry] = field(default_factory=list)
    refusal: RequestRefusedError | None = None
    short_waits_until: float | None = None
    trials_until: float | None = None
    trial: Route | None = None
    alternatives: bool = False
    too_small: int = 0
    spent: list[tuple[Route, TokenUsage]] = field(default_factory=list)
    _by_route: dict[Route, _RouteFailures] = field(default_factory=dict)

    def add_failure(self, route: Route, failure: Failure, now: float, pause: float) -> None:
        """Record a failed attempt; `pause` is how many seconds to leave the route alone."""
        trouble = self._by_route.setdefault(route, _RouteFailures())
        trouble.failures += 1
        again = failure.kind in _AGAIN_LATER and trouble.failures < _TRIES_PER_ROUTE
        trouble.again_at = now + pause if again else math.inf

    def failures(self, route: Route) -> int:
        """How often a route has failed in this call."""
        return self._by_route[route].failures if route in self._by_route else 0

    def pause(self, route: Route, now: float) -> float:
        """Seconds until a route is worth another attempt in this call; infinity if it is not."""
        return max(0.0, self._by_route[route].again_at - now) if route in self._by_route else 0.0

    def latest(self, route: Route) -> RouteTry | None:
        """The last attempt on a route."""
        return next((one for one in reversed(self.tries) if one.route == route), None)
