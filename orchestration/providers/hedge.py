"""Hedging: when a route's first token is late, a second route is asked, and the first token of either wins.

"Late" is learned from the route's own calls. A hedge is paid for twice, so only one call in ten may have one, and only
if its caller has asked for that or the second route costs nothing:
https://research.google/pubs/the-tail-at-scale/ is where the idea and the bound come from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from orchestration.providers.route import RouteRecord
from orchestration.providers.wire import Completion

# Below that, a late token and a usual one cannot be told apart.
_LEAST_KNOWN = 8
# Twice as long as nearly all calls take. Anything sooner would hedge calls that are well.
_TIMES = 2.0
_LEAST_SECONDS = 0.5
_SHARE = 0.1
_MOST_SAVED = 5.0

Claim = Callable[[], bool]
Attempt = Callable[[RouteRecord, Claim], Awaitable[Completion | None]]


def late_after(seconds: deque[float]) -> float | None:
    """From when on a first token is late, by those of recent calls; None while too few are known. Pure."""
    if len(seconds) < _LEAST_KNOWN:
        return None
    usual = sorted(seconds)[math.ceil(0.9 * len(seconds)) - 1]
    return max(_LEAST_SECONDS, _TIMES * usual)


@dataclass(slots=True)
class HedgeBudget:
    """How many hedges may be sent: one for ten calls. Pure."""

    saved: float = 1.0

    def count_call(self) -> None:
        """Count a call, which earns a part of a hedge."""
        self.saved = min(_MOST_SAVED, self.saved + _SHARE)

    def take(self) -> bool:
        """Take a hedge, if one was saved."""
        if self.saved < 1:
            return False
        self.saved -= 1
        return True


@dataclass(slots=True)
class Race:
    """Two attempts at one answer. The first that has a token wins, and the other is ended."""

    attempt: Attempt
    _scopes: dict[RouteRecord, anyio.CancelScope] = field(default_factory=dict)
    _winner: RouteRecord | None = None
    _decided: anyio.Event = field(default_factory=anyio.Event)
    _completion: Completion | None = None
    _error: Exception | None = None

    async def run(
        self, first: RouteRecord, late: float, second: Callable[[], RouteRecord | None], release: Callable[[], None]
    ) -> Completion | None:
        """The answer of the first route, or of a second one that is asked for when the first is late; None if neither
        has answered. `second` occupies a slot, and `release` frees it. Raises what the attempts raise."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._run, first)
            with anyio.move_on_after(late):
                await self._decided.wait()
            if not self._decided.is_set() and (other := second()) is not None:
                try:
                    await self._run(other)
                finally:
                    release()
        if self._error is not None:
            raise self._error
        return self._completion

    async def _run(self, record: RouteRecord) -> None:
        with anyio.CancelScope() as scope:
            self._scopes[record] = scope
            try:
                self._completion = await self.attempt(record, lambda: self._claim(record)) or self._completion
            except Exception as error:  # noqa: BLE001 (raised again when both attempts have ended)
                self._error = error
                self._end_others(record)
        if self._completion is not None or self._error is not None or len(self._scopes) == 1:
            self._decided.set()

    def _claim(self, record: RouteRecord) -> bool:
        """Whether this attempt may deliver its tokens."""
        if self._winner is None:
            self._winner = record
            self._end_others(record)
        self._decided.set()
        return self._winner is record

    def _end_others(self, record: RouteRecord) -> None:
        for other, scope in self._scopes.items():
            if other is not record:
                scope.cancel()
