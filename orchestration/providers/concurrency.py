"""Concurrency at providers: how many calls each gets at once, and which call is next when a slot becomes free."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.providers.route import RouteRecord

# Returns a route at which a slot is now occupied, or for how many seconds there is none: infinity means "until
# something changes". Raises an OrchestratorError if there is nothing to wait for.
Decide = Callable[[], RouteRecord | float]

# Receives how many calls of the same queue are served before this one.
PlaceCallback = Callable[[int], None]

# A slot that another process gives back is free for so long at most before a waiting call takes it.
_LOOK_SECONDS = 0.02
# If so many calls in a row find nothing, those behind them will not, either.
_MOST_IN_VAIN = 32


class OtherProcesses(Protocol):
    """The processes with which the slots are shared."""

    @property
    def waits(self) -> bool:
        """Whether calls wait for slots that other processes have."""
        ...

    def stop_waiting(self) -> None:
        """No call waits for a slot."""
        ...


class NoOthers:
    """Slots that are not shared."""

    waits = False

    def stop_waiting(self) -> None:
        """Nobody is told."""


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

    def __init__(self, clock: Clock, others: OtherProcesses | None = None) -> None:
        self._clock = clock
        self._others = others or NoOthers()
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
        if not self._waiters:
            self._others.stop_waiting()
        if waiter.record is None:
            raise waiter.error or RuntimeError("the wait ended without a decision")
        return waiter.record

    def release(self, record: RouteRecord) -> None:
        """Free a slot. The first waiting call that can use it gets it in the same step, so that a call that arrives
        later cannot overtake it."""
        record.provider.release(self._clock.monotonic())
        # A copy, because a waiter that is served leaves the queue.
        for waiter in tuple(self._waiters):
            if waiter.decide_again():
                self._end(waiter)
            if waiter.record is not None:
                return
        self._keep_looking()

    def wake(self) -> None:
        """Let every waiting call decide again: a route opened or closed, or a limit changed."""
        for waiter in tuple(self._waiters):
            if waiter.decide_again():
                self._end(waiter)
            else:
                waiter.changed.set()

    async def _wait(self, waiter: _Waiter) -> None:
        self._waiters[waiter] = None
        self._keep_looking()
        self._report_places()
        try:
            while waiter in self._waiters:
                waiter.changed = anyio.Event()
                if await self._wait_for(waiter.changed, self._patience(waiter)):
                    continue
                if self._looks_for_all(waiter):
                    self._look()
                elif waiter in self._waiters and waiter.decide_again():
                    self._end(waiter)
        except BaseException:
            # Cancelled in the moment in which a slot was assigned: without this, the slot would be lost.
            if waiter.record is not None:
                self.release(waiter.record)
            raise
        finally:
            if waiter in self._waiters:
                del self._waiters[waiter]
                self._keep_looking()
                self._report_places()

    def _patience(self, waiter: _Waiter) -> float:
        return min(waiter.seconds, _LOOK_SECONDS) if self._looks_for_all(waiter) else waiter.seconds

    def _looks_for_all(self, waiter: _Waiter) -> bool:
        """Whether this is the call that looks whether other processes have given slots back: the first that waits."""
        return self._others.waits and waiter is next(iter(self._waiters), None)

    def _keep_looking(self) -> None:
        """Let the first waiting call look from now on, if there is something to look for."""
        if self._others.waits and (first := next(iter(self._waiters), None)) is not None:
            first.changed.set()

    def _look(self) -> None:
        """Let waiting calls decide again, in their order, until enough of them have found nothing."""
        in_vain = 0
        for waiter in tuple(self._waiters):
            if waiter.decide_again():
                self._end(waiter)
                in_vain = 0
            elif (in_vain := in_vain + 1) >= _MOST_IN_VAIN:
                return

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
        self._keep_looking()
        self._report_places()

    def _report_places(self) -> None:
        ahead: dict[str, int] = {}
        for waiter in self._waiters:
            place = ahead.get(waiter.queue, 0)
            ahead[waiter.queue] = place + 1
            if waiter.on_place is not None and waiter.ahead != place:
                waiter.ahead = place
                waiter.on_place(place)
