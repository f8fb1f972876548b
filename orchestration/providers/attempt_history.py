"""What has happened in one call so far, and what that leaves to be tried. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from orchestration.providers.failures import Failure, FailureKind, RequestRefusedError
from orchestration.providers.wire import Route, RouteTry

_TRIES_PER_ROUTE = 3
# Worth another try after a wait, if no other route can be used sooner.
_AGAIN_LATER = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})


@dataclass(slots=True)
class _RouteFailures:
    """A route that has failed in this call: how often, and from when it may be tried again (monotonic seconds)."""

    failures: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class AttemptHistory:
    """The tries of one call. `refusal` is set when a content filter refused and another route may still answer."""

    tries: list[RouteTry] = field(default_factory=list)
    refusal: RequestRefusedError | None = None
    _by_route: dict[Route, _RouteFailures] = field(default_factory=dict)

    def add_failure(self, route: Route, failure: Failure, now: float, pause: float) -> None:
        """Note a failed attempt; `pause` is how long to leave the route alone in seconds."""
        trouble = self._by_route.setdefault(route, _RouteFailures())
        trouble.failures += 1
        again = failure.kind in _AGAIN_LATER and trouble.failures < _TRIES_PER_ROUTE
        trouble.again_at = now + pause if again else math.inf

    def failures(self, route: Route) -> int:
        """How often a route has failed in this call."""
        return self._by_route[route].failures if route in self._by_route else 0

    def pause(self, route: Route, now: float) -> float:
        """Seconds until a route is worth another try in this call; infinity when it is not."""
        return max(0.0, self._by_route[route].again_at - now) if route in self._by_route else 0.0

    def latest(self, route: Route) -> RouteTry | None:
        """The last try on a route."""
        return next((one for one in reversed(self.tries) if one.route == route), None)
