"""Places at providers: how many calls each is given at once, and who is next when one becomes free."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from orchestration.clock import Clock
from orchestration.errors import OrchestratorError
from orchestration.providers.route import RouteRecord

# A route at which a place was taken, or for how many seconds there is none: infinity for `until something changes`.
# Raises an OrchestratorError when there is nothing to wait for.
Decide = Callable[[], RouteRecord | float]


@dataclass(slots=True, eq=False)
class _Ticket:
    """One waiting call."""

    decide: Decide
    bell: anyio.Event
    seconds: float = math.inf
    record: RouteRecord | None = None
    error: OrchestratorError | None = None

    def ask(self) -> bool:
        """Decide anew; returns whether the wait is over."""
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
    """Hands places to calls in the order in which they came, each at whichever of its routes is free first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tickets: dict[_Ticket, None] = {}

    async def take(self, decide: Decide) -> RouteRecord:
        """A route at which a place is now held, to be given back by `leave`. Raises what `decide` raises."""
        ticket = _Ticket(decide, anyio.Event())
        if not ticket.ask():
            await self._wait(ticket)
        if ticket.record is None:
            raise ticket.error or RuntimeError("the wait ended without a decision")
        return ticket.record

    def leave(self, record: RouteRecord) -> None:
        """Give a place back; the first in the queue that can use it has it at once."""
        record.provider.in_use -= 1
        for ticket in tuple(self._tickets):
            if ticket.ask():
                self._end(ticket)
            if ticket.record is not None:
                return

    def wake(self) -> None:
        """Have every waiting call decide anew: a route opened or closed, or a limit changed."""
        for ticket in tuple(self._tickets):
            if ticket.ask():
                self._end(ticket)
            else:
                ticket.bell.set()

    async def _wait(self, ticket: _Ticket) -> None:
        self._tickets[ticket] = None
        try:
            while ticket in self._tickets:
                ticket.bell = anyio.Event()
                if await self._rang(ticket.bell, ticket.seconds):
                    continue
                if ticket in self._tickets and ticket.ask():
                    self._end(ticket)
        except BaseException:
            if ticket.record is not None:
                self.leave(ticket.record)
            raise
        finally:
            self._tickets.pop(ticket, None)

    async def _rang(self, bell: anyio.Event, seconds: float) -> bool:
        """Wait for the bell, at most so long; returns whether it rang."""
        if seconds == math.inf:
            await bell.wait()
            return True
        async with anyio.create_task_group() as group:

            async def listen() -> None:
                await bell.wait()
                group.cancel_scope.cancel()

            group.start_soon(listen)
            await self._clock.sleep(seconds)
            group.cancel_scope.cancel()
        return bell.is_set()

    def _end(self, ticket: _Ticket) -> None:
        del self._tickets[ticket]
        ticket.bell.set()
