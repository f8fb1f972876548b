"""Live events for everybody who listens: one look at the timeline serves all, whichever process wrote there."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.events import Event
from orchestration.storage.timeline import Timeline

Numbered = tuple[int, Event]

_LOOK_SECONDS = 0.25
_QUIET_SECONDS = 15.0
_AT_ONCE = 1000
# On a server a transaction that takes long may commit a lower number later: so many numbers are looked at once more.
_OVERLAP = 200


class Feed:
    """Follows the timeline while somebody listens. `close` ends all streams; call it before the server is to stop."""

    def __init__(self, timeline: Timeline, clock: Clock, *, ordered: bool) -> None:
        """`ordered` says that numbers become visible in their order, as they do where there is one writer."""
        self._timeline = timeline
        self._clock = clock
        self._overlap = 0 if ordered else _OVERLAP
        self._mark: tuple[int, ...] = ()
        self._turn = 0
        self._news = anyio.Event()
        self._reading = anyio.Lock()
        self._cached: tuple[tuple[int, int], Sequence[Numbered]] = ((-1, -1), ())
        self._closed = False
        self.listeners = 0

    def close(self) -> None:
        """End every stream, and let no new one last."""
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        """Look for news while somebody listens, until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            if not self.listeners:
                continue
            try:
                mark = await anyio.to_thread.run_sync(self._look)
            except SQLAlchemyError:  # it comes back; who listens waits
                continue
            if mark != self._mark:
                self._mark = mark
                self._turn += 1
                news, self._news = self._news, anyio.Event()
                news.set()

    async def listen(self, after: int | None = None) -> AsyncGenerator[Sequence[Numbered], None]:
        """What happens from now on, or since an event that somebody has seen last; an empty batch now and then says
        that nothing has. Ends when the feed is closed."""
        self.listeners += 1
        try:
            last = await anyio.to_thread.run_sync(self._timeline.last_sequence) if after is None else after
            before = await self._read(last)
            seen = {number for number, _ in before if number <= last}
            while not self._closed:
                news = self._news
                found = await self._read(last)
                fresh = [one for one in found if one[0] > last or (self._overlap and one[0] not in seen)]
                if fresh:
                    seen = {number for number, _ in found}
                    last = max(last, fresh[-1][0])
                    yield fresh
                elif not await _came(news):
                    yield ()
        finally:
            self.listeners -= 1

    async def _read(self, last: int) -> Sequence[Numbered]:
        """What is on the timeline behind a number, and the last ones before it where numbers may come late. Those who
        have all heard the same so far share one reading."""
        start = max(0, last - self._overlap)
        async with self._reading:
            key = (start, self._turn)
            if self._cached[0] != key:
                found = await anyio.to_thread.run_sync(self._timeline.list_since, start, _AT_ONCE)
                self._cached = (key, found)
            return self._cached[1]

    def _look(self) -> tuple[int, ...]:
        last = self._timeline.last_sequence()
        if not self._overlap:
            return (last,)
        return tuple(number for number, _ in self._timeline.list_since(max(0, last - self._overlap), _AT_ONCE))


async def _came(news: anyio.Event) -> bool:
    """Wait for news; False when there is none for a while."""
    with anyio.move_on_after(_QUIET_SECONDS):
        await news.wait()
        return True
    return False
