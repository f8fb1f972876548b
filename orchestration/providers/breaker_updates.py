"""The one place where a route's breaker changes: whoever has to know is told."""

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
    """Takes over new states of breakers. `wake` has the calls that wait decide anew."""

    def __init__(self, bus: EventBus, wake: Callable[[], None]) -> None:
        self._bus = bus
        self._wake = wake

    def apply(self, record: RouteRecord, breaker: Breaker) -> None:
        """Take over a state that came about here, and say so if it has changed."""
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
        """Take over a state that has been told elsewhere."""
        record.breaker = breaker
        self._wake()


def _shared_part(breaker: Breaker) -> tuple[object, ...]:
    """What other processes have to know; the single failures are each process's own."""
    return breaker.state, breaker.reason, breaker.held_until, breaker.probe_at
