"""Live events for all subscribers: one poll of the timeline serves all, whichever process wrote the events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.events import Event
from orchestration.storage.timeline import Timeline

Numbered = tuple[int, Event]

_POLL_SECONDS = 0.25
# Proxies commonly close a connection that has been silent for 30 or 60 seconds.
_KEEPALIVE_SECONDS = 15.0
_BATCH = 1000
# PostgreSQL hands out sequence numbers before the commit, so a slow transaction may make a lower number visible after a
# higher one. This many numbers are read again on every poll.
_OVERLAP = 200


class Feed:
    """Follows the timeline while there are subscribers. Call `close` before the server stops: it ends all streams."""

    def __init__(self, timeline: Timeline, clock: Clock, *, ordered: bool) -> None:
        """`ordered` means that event numbers become visible in order, as they do in SQLite, which has one writer."""
        self._timeline = timeline
        self._clock = clock
        self._overlap = 0 if ordered else _OVERLAP
        self._mark: tuple[int, ...] = ()
        self._generation = 0
        self._news = anyio.Event()
        self._read_lock = anyio.Lock()
        self._cached: tuple[tuple[int, int], Sequence[Numbered]] = ((-1, -1), ())
        self._closed = False
        self._subscribed = anyio.Event()
        self.subscribers = 0

    def close(self) -> None:
        """End all streams; new ones end immediately."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Poll for new events while there are subscribers, until cancelled."""
        while True:
            # Nobody listens most of the time, and a poll costs a query four times a second.
            if not self.subscribers:
                self._subscribed = anyio.Event()
                await self._subscribed.wait()
            await self._clock.sleep(_POLL_SECONDS)
            try:
                mark = await anyio.to_thread.run_sync(self._poll)
            except SQLAlchemyError:  # subscribers wait until the database is back
                continue
            if mark != self._mark:
                self._mark = mark
                self._generation += 1
                news, self._news = self._news, anyio.Event()
                news.set()

    async def subscribe(self, after: int) -> AsyncGenerator[Sequence[Numbered], None]:
        """Batches of events behind a number. An empty batch is a keep-alive. Ends when the feed is closed."""
        self.subscribers += 1
        self._subscribed.set()
        try:
            last = after
            before = await self._read(last)
            # Numbers that were visible before are not sent again when the overlap is read once more.
            seen = {number for number, _ in before if number <= last}
            while not self._closed:
                news = self._news
                found = await self._read(last)
                fresh = [one for one in found if one[0] > last or (self._overlap and one[0] not in seen)]
                if fresh:
                    seen = {number for number, _ in found}
                    last = max(last, fresh[-1][0])
                    yield fresh
                elif not await _wait_for(news):
                    yield ()
        finally:
            self.subscribers -= 1

    async def _read(self, last: int) -> Sequence[Numbered]:
        """The events behind a number, and the last ones before it where numbers may become visible late. Subscribers at
        the same position share one query."""
        start = max(0, last - self._overlap)
        # One at a time: a hundred streams that are woken at once would otherwise run the same query a hundred times.
        async with self._read_lock:
            key = (start, self._generation)
            if self._cached[0] != key:
                found = await anyio.to_thread.run_sync(self._timeline.list_since, start, _BATCH)
                self._cached = (key, found)
            return self._cached[1]

    def _poll(self) -> tuple[int, ...]:
        last = self._timeline.last_sequence()
        if not self._overlap:
            return (last,)
        return tuple(number for number, _ in self._timeline.list_since(max(0, last - self._overlap), _BATCH))


async def _wait_for(news: anyio.Event) -> bool:
    """Wait for new events; False if there are none within the keep-alive interval."""
    with anyio.move_on_after(_KEEPALIVE_SECONDS):
        await news.wait()
        return True
    return False
