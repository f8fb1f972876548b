"""The one place where a route's breaker changes, so that events, waiting calls and other processes follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestration.events import EventBus
from orchestration.events.providers import RouteClosed, RouteEvent, RouteHalfOpen, RouteOpened
from orchestration.providers.breaker import Breaker, BreakerState
from orchestration.providers.route import RouteRecord

_KINDS: Mapping[BreakerState, type[RouteEvent]] = {
    BreakerState.OPEN: RouteOpened,
    BreakerState.CLOSED: RouteClosed,
    BreakerState.HALF_OPEN: RouteHalfOpen,
}


class BreakerUpdates:
    """Applies new states of breakers. `wake` makes waiting calls decide again."""

    def __init__(self, bus: EventBus, wake: Callable[[], None]) -> None:
        self._bus = bus
        self._wake = wake

    def apply(self, record: RouteRecord, breaker: Breaker) -> None:
        """Apply a state that resulted from a call or probe of this process, and publish an event if it has changed."""
        before = record.breaker
        if breaker == before:
            return
        self.adopt(record, breaker)
        record.unsynced = record.unsynced or _shared_part(before) != _shared_part(breaker)
        if before.state is breaker.state and before.reason == breaker.reason:
            return
        payload = _KINDS[breaker.state](
            route=str(record.route),
            provider=record.route.provider,
            reason=breaker.reason or before.reason,
            detail=record.last_failure if breaker.state is BreakerState.OPEN else "",
            openings=breaker.openings,
            probe_at=breaker.probe_at,
        )
        self._bus.publish(payload)

    def adopt(self, record: RouteRecord, breaker: Breaker) -> None:
        """Adopt a state from another process, which has published the event."""
        record.breaker = breaker
        self._wake()


def _shared_part(breaker: Breaker) -> tuple[object, ...]:
    """The part that other processes have to know; the failures in the window are each process's own."""
    return breaker.state, breaker.reason, breaker.held_until, breaker.probe_at
