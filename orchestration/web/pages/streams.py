"""Live updates: a stream tells a page that something has changed, and the page fetches itself again.

One poll of the timeline serves all open pages, whichever process wrote the events. The stream carries no content, only
the notice of a change: a thousand open pages cost one query per poll, and no page shows anything that its own request
would not be allowed to read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import anyio
import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.events import Event
from orchestration.storage.timeline import HeartbeatRow, Timeline

_POLL_SECONDS = 0.5
# Proxies commonly close a connection that has been silent for 30 or 60 seconds.
_KEEPALIVE_SECONDS = 15.0
_BATCH = 1000
# PostgreSQL hands out sequence numbers before the commit, so a slow transaction may make a lower number visible after a
# higher one. This many numbers are read again on every poll.
_OVERLAP = 200
_OF_RUN = "run/"

_PollResult = tuple[Sequence[tuple[int, Event]], Sequence[HeartbeatRow]]


class Streams:
    """Notifies pages of changes. `close` ends all streams; uvicorn waits for open responses, so call it before
    stopping."""

    def __init__(self, timeline: Timeline, clock: Clock, *, ordered: bool) -> None:
        self._timeline = timeline
        self._clock = clock
        self._overlap = 0 if ordered else _OVERLAP
        self._start: int | None = None
        self._sequence = 0
        self._newest: dict[str, int] = {}
        self._changes: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._heartbeats: Mapping[str, Sequence[HeartbeatRow]] = {}
        self._watched: Counter[str] = Counter()
        self._polling = anyio.Lock()
        self._polled_at = float("-inf")
        self._closed = anyio.Event()

    @property
    def open(self) -> int:
        """The number of open streams."""
        return self._watched[""]

    def close(self) -> None:
        """End all streams; new ones end immediately."""
        self._closed.set()

    async def listen(self, subjects: Sequence[str], after: int | None) -> AsyncIterator[str]:
        """The lines to send to one page: a notice whenever something about one of these subjects has changed.

        A subject is the first part of an event's kind, or `run/ID`. `after` is the last event number that the page has
        seen: from when it was rendered, or from before its connection broke.
        """
        watched = ["", *subjects]
        self._watched.update(watched)
        try:
            async for line in self._lines(subjects, after):
                yield line
        finally:
            self._watched.subtract(watched)
            self._watched += Counter()  # drops the subjects that no page watches any more

    async def _lines(self, subjects: Sequence[str], after: int | None) -> AsyncIterator[str]:
        await self._poll()
        known = self._state(subjects)
        newest = max((self._newest.get(subject, 0) for subject in subjects), default=0)
        missed = after is not None and (after < (self._start or 0) or after < newest)
        yield _notice(self._sequence) if missed else f"id: {self._sequence}\n\n"
        sent_at = self._clock.monotonic()
        while not self._closed.is_set():
            with anyio.move_on_after(_POLL_SECONDS):
                await self._closed.wait()
            await self._poll()
            state, now = self._state(subjects), self._clock.monotonic()
            if state != known:
                yield _notice(self._sequence)
                known, sent_at = state, now
            elif now - sent_at > _KEEPALIVE_SECONDS:
                yield ": keep-alive\n\n"
                sent_at = now

    def _state(self, subjects: Sequence[str]) -> Sequence[tuple[int, Sequence[HeartbeatRow]]]:
        return [(self._changes[subject], self._heartbeats.get(subject, ())) for subject in subjects]

    async def _poll(self) -> None:
        """Read the timeline once for all streams that poll within the same interval; a database error means no news."""
        async with self._polling:
            if self._clock.monotonic() - self._polled_at < _POLL_SECONDS * 0.8:
                return
            runs = [name.removeprefix(_OF_RUN) for name in self._watched if name.startswith(_OF_RUN)]
            try:
                events, heartbeats = await anyio.to_thread.run_sync(self._read, self._start, self._sequence, runs)
            except SQLAlchemyError:
                return
            finally:
                self._polled_at = self._clock.monotonic()
            self._record(events)
            self._heartbeats = {_OF_RUN + run: [beat for beat in heartbeats if beat.run_id == run] for run in runs}

    def _read(self, start: int | None, sequence: int, runs: Sequence[str]) -> _PollResult:
        # Heartbeats are not on the timeline. They are read only for the runs whose pages are open.
        heartbeats = self._timeline.list_heartbeats(*runs) if runs else ()
        if start is None:
            self._start = self._sequence = self._timeline.last_sequence()
            return (), heartbeats
        return self._timeline.list_since(max(0, sequence - self._overlap), _BATCH), heartbeats

    def _record(self, events: Sequence[tuple[int, Event]]) -> None:
        for sequence, event in events:
            if sequence in self._seen:
                continue
            self._seen.add(sequence)
            self._sequence = max(self._sequence, sequence)
            for subject in _subjects(event):
                self._changes[subject] += 1
                self._newest[subject] = max(self._newest.get(subject, 0), sequence)
        self._seen = {one for one in self._seen if one > self._sequence - self._overlap}


def _subjects(event: Event) -> Sequence[str]:
    kind = event.kind.partition(".")[0]
    return (kind, _OF_RUN + event.run_id) if event.run_id else (kind,)


def _notice(sequence: int) -> str:
    return f"event: news\nid: {sequence}\ndata: {sequence}\n\n"
