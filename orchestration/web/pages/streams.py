"""Live updates: a page is told that something has changed, and then fetches itself anew.

One look at the timeline serves all who listen, whichever process wrote there. What is sent is no content but a sign, so
a thousand open pages cost one query a look, and nobody is shown anything that the page itself would not show.
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

_LOOK_SECONDS = 0.5
_QUIET_SECONDS = 15.0
_AT_ONCE = 1000
# On a server, a transaction that takes long may commit a lower number later.
_OVERLAP = 200
_OF_RUN = "run/"

_Found = tuple[Sequence[tuple[int, Event]], Sequence[HeartbeatRow]]


class Streams:
    """Tells pages that something has changed. `close` ends every stream; call it before the server is to stop."""

    def __init__(self, timeline: Timeline, clock: Clock, *, ordered: bool) -> None:
        self._timeline = timeline
        self._clock = clock
        self._overlap = 0 if ordered else _OVERLAP
        self._began: int | None = None
        self._sequence = 0
        self._newest: dict[str, int] = {}
        self._news: Counter[str] = Counter()
        self._seen: set[int] = set()
        self._beats: Mapping[str, Sequence[HeartbeatRow]] = {}
        self._watched: Counter[str] = Counter()
        self._looking = anyio.Lock()
        self._looked_at = float("-inf")
        self._closed = anyio.Event()

    @property
    def open(self) -> int:
        """How many streams there are now."""
        return self._watched[""]

    def close(self) -> None:
        """End every stream, and let no new one last."""
        self._closed.set()

    async def listen(self, subjects: Sequence[str], after: int | None) -> AsyncIterator[str]:
        """What to send to one page: a sign whenever something about one of these subjects is new.

        A subject is the first part of an event's kind, or `run/ID`. `after` is the last number that the page knows of:
        from when it was made, or from before its connection broke.
        """
        watched = ["", *subjects]
        self._watched.update(watched)
        try:
            async for line in self._signs(subjects, after):
                yield line
        finally:
            self._watched.subtract(watched)
            self._watched += Counter()  # without those that nobody watches any more

    async def _signs(self, subjects: Sequence[str], after: int | None) -> AsyncIterator[str]:
        await self._look()
        known = self._state(subjects)
        newest = max((self._newest.get(subject, 0) for subject in subjects), default=0)
        missed = after is not None and (after < (self._began or 0) or after < newest)
        yield _sign(self._sequence) if missed else f"id: {self._sequence}\n\n"
        said_at = self._clock.monotonic()
        while not self._closed.is_set():
            with anyio.move_on_after(_LOOK_SECONDS):
                await self._closed.wait()
            await self._look()
            state, now = self._state(subjects), self._clock.monotonic()
            if state != known:
                yield _sign(self._sequence)
                known, said_at = state, now
            elif now - said_at > _QUIET_SECONDS:
                yield ": still here\n\n"
                said_at = now

    def _state(self, subjects: Sequence[str]) -> Sequence[tuple[int, Sequence[HeartbeatRow]]]:
        return [(self._news[subject], self._beats.get(subject, ())) for subject in subjects]

    async def _look(self) -> None:
        """Look once for everybody who asks within the same moment. Without the database there is nothing new."""
        async with self._looking:
            if self._clock.monotonic() - self._looked_at < _LOOK_SECONDS * 0.8:
                return
            runs = [name.removeprefix(_OF_RUN) for name in self._watched if name.startswith(_OF_RUN)]
            try:
                events, beats = await anyio.to_thread.run_sync(self._read, self._began, self._sequence, runs)
            except SQLAlchemyError:
                return
            finally:
                self._looked_at = self._clock.monotonic()
            self._take(events)
            self._beats = {_OF_RUN + run: [beat for beat in beats if beat.run_id == run] for run in runs}

    def _read(self, began: int | None, sequence: int, runs: Sequence[str]) -> _Found:
        # What agents do at this moment is on no timeline; it is read for the runs that somebody looks at.
        beats = self._timeline.list_heartbeats(*runs) if runs else ()
        if began is None:
            self._began = self._sequence = self._timeline.last_sequence()
            return (), beats
        return self._timeline.list_since(max(0, sequence - self._overlap), _AT_ONCE), beats

    def _take(self, events: Sequence[tuple[int, Event]]) -> None:
        for sequence, event in events:
            if sequence in self._seen:
                continue
            self._seen.add(sequence)
            self._sequence = max(self._sequence, sequence)
            for subject in _subjects(event):
                self._news[subject] += 1
                self._newest[subject] = max(self._newest.get(subject, 0), sequence)
        self._seen = {one for one in self._seen if one > self._sequence - self._overlap}


def _subjects(event: Event) -> Sequence[str]:
    kind = event.kind.partition(".")[0]
    return (kind, _OF_RUN + event.run_id) if event.run_id else (kind,)


def _sign(sequence: int) -> str:
    return f"event: news\nid: {sequence}\ndata: {sequence}\n\n"
