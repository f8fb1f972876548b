"""The lane of one channel: what is due on it goes out by urgency, several messages at a time.

What is most urgent goes first, however long something else has waited, and of equals the one that was never tried. A
recipient whose server hangs keeps some of the places and never all, and some are kept for the first try of a page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

import anyio

from orchestration.clock import Clock
from orchestration.notifications.rate_limit import SendRate
from orchestration.storage.outbox import OutboxRow

_AT_ONCE, _AT_ONCE_FOR_PAGES, _AT_ONCE_TO_ONE = 8, 12, 4
# P0 and P1.
_PAGED = 1
# What is due is read again that often: something urgent may have come behind much that is not.
_FRESH_SECONDS = 0.5

Due = Callable[[Collection[str]], Awaitable[Sequence[OutboxRow]]]
"""What is due, in its order, except to these recipients."""


class ChannelLane:
    """Delivers what is due on one channel."""

    def __init__(
        self,
        due: Due,
        deliver: Callable[[OutboxRow], Awaitable[None]],
        rate: Callable[[], SendRate],
        clock: Clock,
    ) -> None:
        self._due = due
        self._deliver = deliver
        self._rate = rate
        self._clock = clock
        self._queue: list[OutboxRow] = []
        self._read_at = float("-inf")
        self._under_way: dict[str, str] = {}
        self._ended = anyio.Event()

    async def drain(self, go_on: Callable[[], Awaitable[bool]]) -> None:
        """Deliver until nothing is due, or until it may not `go_on`; what has begun is finished."""
        async with anyio.create_task_group() as group:
            while await go_on():
                row = await self._next()
                if row is not None and self._rate().left:
                    await self._clock.sleep(self._rate().left)  # then something else may be more urgent
                elif row is not None:
                    self._queue.remove(row)
                    self._rate().take()
                    self._under_way[row.key] = row.recipient
                    group.start_soon(self._work, row)
                elif self._under_way:
                    with anyio.move_on_after(_FRESH_SECONDS):
                        await self._ended.wait()
                elif not self._queue:
                    return

    async def _work(self, row: OutboxRow) -> None:
        try:
            await self._deliver(row)
        finally:
            del self._under_way[row.key]
            ended, self._ended = self._ended, anyio.Event()
            ended.set()

    async def _next(self) -> OutboxRow | None:
        """The first that has a place now; None if there is none."""
        to = Counter(self._under_way.values())
        if not self._queue or self._clock.monotonic() - self._read_at >= _FRESH_SECONDS:
            full = [recipient for recipient, count in to.items() if count >= _AT_ONCE_TO_ONE]
            self._queue, self._read_at = list(await self._due(full)), self._clock.monotonic()
            # One that has just begun may not be claimed yet.
            self._queue = [row for row in self._queue if row.key not in self._under_way]
        for row in self._queue:
            if to[row.recipient] < _AT_ONCE_TO_ONE and len(self._under_way) < _places_for(row):
                return row
        return None


def _places_for(row: OutboxRow) -> int:
    return _AT_ONCE_FOR_PAGES if row.urgency <= _PAGED and not row.attempts else _AT_ONCE
