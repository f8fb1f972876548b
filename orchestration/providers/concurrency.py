"""Concurrency at providers: how many calls each gets at once, and which call is next when a slot becomes free."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.providers.route import RouteRecord

# Returns a route at which a slot is now occupied, or for how many seconds there is none: infinity means "until
# something changes". Raises an OrchestratorError if there is nothing to wait for.
Decide = Callable[[], RouteRecord | float]

# Receives how many calls of the same queue are served before this one.
PlaceCallback = Callable[[int], None]


@dataclass(slots=True, eq=False)
class _Waiter:
    """One waiting call."""

    decide: Decide
    changed: anyio.Event
    queue: str = ""
    on_place: PlaceCallback | None = None
    ahead: int | None = None
    seconds: float = math.inf
    record: RouteRecord | None = None
    error: OrchestratorError | None = None

    def decide_again(self) -> bool:
        """Decide again; returns whether the wait is over."""
        try:
            decision = self.decide()
        except OrchestratorError as error:
            self.error = error
            return True
        if isinstance(decision, RouteRecord):
            self.record = decision
            return True
        self.seconds = decision
        return False


class ConcurrencyLimiter:
    """Gives slots to calls in the order of their arrival, each at the first of its routes that is free.

    A semaphore per provider would not do: a call may use several providers, limits change while calls wait, and a call
    that waits for a slot at one provider must be able to take one at another.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # A dictionary as an ordered set: calls are served as they came, and a cancelled one leaves from the middle at
        # once.
        self._waiters: dict[_Waiter, None] = {}

    async def acquire(self, decide: Decide, queue: str = "", on_place: PlaceCallback | None = None) -> RouteRecord:
        """Wait for a route and occupy a slot there; `release` frees it. Raises what `decide` raises.

        While it waits, `on_place` receives how many calls with the same `queue` wait ahead of it, whenever that
        changes.
        """
        waiter = _Waiter(decide, anyio.Event(), queue, on_place)
        if not waiter.decide_again():
            await self._wait(waiter)
        if waiter.record is None:
            raise waiter.error or RuntimeError("the wait ended without a decision")
        return waiter.record

    def release(self, record: RouteRecord) -> None:
        """Free a slot. The first waiting call that can use it gets it in the same step, so that a call that arrives
        later cannot overtake it."""
        record.provider.in_use -= 1
        # A copy, because a waiter that is served leaves the queue.
        for waiter in tuple(self._waiters):
            if waiter.decide_again():
                self._end(waiter)
            if waiter.record is not None:
                return

    def wake(self) -> None:
        """Let every waiting call decide again: a route opened or closed, or a limit changed."""
        for waiter in tuple(self._waiters):
            if waiter.decide_again():
                self._end(waiter)
            else:
                waiter.changed.set()

    async def _wait(self, waiter: _Waiter) -> None:
        self._waiters[waiter] = None
        self._report_places()
        try:
            while waiter in self._waiters:
                waiter.changed = anyio.Event()
                if await self._wait_for(waiter.changed, waiter.seconds):
                    continue
                if waiter in self._waiters and waiter.decide_again():
                    self._end(waiter)
        except BaseException:
            # Cancelled in the moment in which a slot was assigned: without this, the slot would be lost.
            if waiter.record is not None:
                self.release(waiter.record)
            raise
        finally:
            if waiter in self._waiters:
                del self._waiters[waiter]
                self._report_places()

    async def _wait_for(self, changed: anyio.Event, seconds: float) -> bool:
        """Wait for a change, at most so long; returns whether there was one."""
        if seconds == math.inf:
            await changed.wait()
            return True
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                await changed.wait()
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await self._clock.sleep(seconds)
            group.cancel_scope.cancel()
        return changed.is_set()

    def _end(self, waiter: _Waiter) -> None:
        del self._waiters[waiter]
        waiter.changed.set()
        self._report_places()

    def _report_places(self) -> None:
        ahead: dict[str, int] = {}
        for waiter in self._waiters:
            place = ahead.get(waiter.queue, 0)
            ahead[waiter.queue] = place + 1
            if waiter.on_place is not None and waiter.ahead != place:
                waiter.ahead = place
                waiter.on_place(place)
