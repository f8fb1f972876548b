"""The timeline: every event in the order of writing, and the last progress of each agent."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from orchestration.events import Event
from orchestration.events.agents import AgentProgressed
from orchestration.storage.database import Database
from orchestration.storage.tables import events, heartbeats

PROGRESS = AgentProgressed.kind
# What a kill may lose of the events that nobody waits for (docs/explanation/durability.md).
_BATCH_SECONDS = 0.1
_BATCH_SIZE = 500
# Bounds the memory while the database is unavailable, which may be for hours.
_MAX_PENDING = 100_000


@dataclass(frozen=True, slots=True)
class HeartbeatRow:
    """The last progress of one agent's work on one run, and since when it has been at it.

    `phase` is one of `WorkPhase`, `about` the model's route or what the tool is used for; `ahead` are the calls that
    are served before this one, `tail` is the end of the answer or output. `beat_at`: when its process last said so;
    from earlier versions it is unknown.
    """

    agent_run_id: str
    run_id: str
    agent: str
    activity: str
    tokens: int
    progress_at: datetime
    phase: str = ""
    about: str = ""
    prompt_tokens: int = 0
    ahead: int | None = None
    tail: str = ""
    since: datetime | None = None
    beat_at: datetime | None = None


class Timeline:
    """Events and heartbeats in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, batch: Sequence[Event]) -> None:
        """Write events, in order, in one transaction."""
        rows = [
            {
                "at": event.at,
                "kind": event.kind,
                "run_id": event.run_id,
                "agent": event.agent,
                "actor": event.actor,
                "data": dict(event.data),
            }
            for event in batch
        ]
        with self._database.write() as connection:
            connection.execute(sa.insert(events), rows)

    def list(self, run_id: str, *, after: int = 0, limit: int = 1000) -> tuple[tuple[int, Event], ...]:
        """A run's events after a sequence number, each with its own."""
        return self._read(sa.select(events).where(events.c.run_id == run_id, events.c.sequence > after), limit)

    def list_newest(self, run_id: str, *, before: int | None = None, limit: int = 500) -> tuple[tuple[int, Event], ...]:
        """A run's last events with their sequence numbers, in order; with `before`, those ahead of that number."""
        query = sa.select(events).where(events.c.run_id == run_id).order_by(events.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(events.c.sequence < before)
        return self._backwards(query)

    def list_newest_of_kind(self, kind: str, since: datetime, limit: int = 1000) -> tuple[tuple[int, Event], ...]:
        """The last events of a kind since a time, of all runs, in order."""
        # The time is compared afterwards: as a condition of the query it would make the database read every older event
        # of the kind whenever fewer than `limit` are recent.
        query = sa.select(events).where(events.c.kind == kind).order_by(events.c.sequence.desc()).limit(limit)
        return tuple((number, event) for number, event in self._backwards(query) if event.at >= since)

    def list_of_kinds(self, run_ids: Collection[str], kinds: Collection[str]) -> Mapping[str, Sequence[Event]]:
        """The events of some kinds of each of the runs, oldest first."""
        # An expression, so that the index of the kinds is not used: it leads through the events of all runs, and a
        # database without statistics takes it for the better one.
        query = sa.select(events).where(events.c.run_id.in_(run_ids), (events.c.kind + "").in_(kinds))
        found: dict[str | None, Any] = {run_id: [] for run_id in run_ids}
        if not found:
            return {}
        for _, event in self._read(query, None):
            found[event.run_id].append(event)
        return {run_id: found[run_id] for run_id in run_ids}

    def list_of_call(self, run_id: str, key: str) -> tuple[tuple[int, Event], ...]:
        """A run's events about the call of that key, in order."""
        # There is no index on it, but on the run, which has few events in comparison.
        of_call = events.c.data["key"].as_string() == key
        return self._read(sa.select(events).where(events.c.run_id == run_id, of_call), 100)

    def list_recent(self, kinds: Collection[str], since: datetime, limit: int = 1000) -> tuple[Event, ...]:
        """The newest events of some kinds since a time, oldest first."""
        query = sa.select(events).where(events.c.kind.in_(kinds), events.c.at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(events.c.sequence.desc()).limit(limit)).all()
            return tuple(_event(row) for row in reversed(rows))

    def list_since(self, sequence: int, limit: int = 1000) -> tuple[tuple[int, Event], ...]:
        """All events after a sequence number."""
        return self._read(sa.select(events).where(events.c.sequence > sequence), limit)

    def list_numbered(self, sequences: Iterable[int]) -> tuple[tuple[int, Event], ...]:
        """The events with these sequence numbers, as far as they exist."""
        return self._read(sa.select(events).where(events.c.sequence.in_(list(sequences))), None)

    def last_sequence(self) -> int:
        """The newest sequence number; 0 if there are no events."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(sa.func.max(events.c.sequence))).scalar() or 0)

    def find_last(self, kind: str) -> Event | None:
        """The newest event of a kind, or None."""
        query = sa.select(events).where(events.c.kind == kind).order_by(events.c.sequence.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _event(row)

    def _read(self, query: sa.Select[Any], limit: int | None) -> tuple[tuple[int, Event], ...]:
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(events.c.sequence).limit(limit))
            return tuple((row.sequence, _event(row)) for row in rows)

    def _backwards(self, query: sa.Select[Any]) -> tuple[tuple[int, Event], ...]:
        with self._database.read() as connection:
            return tuple((row.sequence, _event(row)) for row in connection.execute(query))[::-1]

    def save_heartbeats(self, beats: Iterable[Event]) -> None:
        """Store the last heartbeat of each agent, and when it last made progress."""
        with self._database.write() as connection:
            for name, row in _heartbeat_rows(beats).items():
                key = heartbeats.c.agent_run_id == name
                if not connection.execute(sa.update(heartbeats).where(key).values(**row)).rowcount:
                    first = {"progress_at": row["beat_at"], **row}
                    connection.execute(sa.insert(heartbeats).values(agent_run_id=name, **first))

    def list_heartbeats(self, *run_ids: str) -> tuple[HeartbeatRow, ...]:
        """The last progress of each agent of the runs."""
        query = sa.select(heartbeats).where(heartbeats.c.run_id.in_(run_ids)).order_by(heartbeats.c.agent_run_id)
        with self._database.read() as connection:
            rows = [row._mapping for row in connection.execute(query)]
        return tuple(HeartbeatRow(**{name: it for name, it in row.items() if it is not None}) for row in rows)


def _heartbeat_rows(beats: Iterable[Event]) -> Mapping[str, dict[str, Any]]:
    """The last heartbeat of each agent as it is stored. A mere sign of life leaves the time of the last progress."""
    rows: dict[str, dict[str, Any]] = {}
    for event in beats:
        beat = event.payload
        if not isinstance(beat, AgentProgressed):
            continue
        row = {
            "run_id": event.run_id,
            "agent": event.agent,
            "activity": beat.activity,
            "tokens": beat.tokens,
            "phase": beat.phase,
            "about": beat.about,
            "prompt_tokens": beat.prompt_tokens,
            "ahead": beat.ahead,
            "tail": beat.tail,
            "since": event.at - timedelta(seconds=beat.seconds),
            "beat_at": event.at,
        }
        progress = {"progress_at": event.at} if beat.progressed else {}
        rows[beat.agent_run_id] = {**rows.get(beat.agent_run_id, {}), **row, **progress}
    return rows


def _event(row: sa.Row[Any]) -> Event:
    return Event(row.kind, row.at, row.run_id, row.agent, row.actor, row.data)


class TimelineWriter:
    """Writes events from the bus in batches, on a thread of its own, so that no emitter waits for the disk.

    `redact` is applied to the data of every event. While the database cannot be written, events wait in memory up to a
    limit; beyond it the oldest are dropped, and counted in `dropped`. `also` are called with each batch before it is
    written; after a failure they get the same batch again.
    """

    def __init__(
        self,
        timeline: Timeline,
        redact: Callable[[Any], Any],
        also: Sequence[Callable[[Sequence[Event]], None]] = (),
    ) -> None:
        self._timeline = timeline
        self._redact = redact
        self._also = also
        # Unbounded, so that no emitter ever waits; the limit applies to what the thread has taken out.
        self._queue: queue.SimpleQueue[Event | Callable[[], object] | None] = queue.SimpleQueue()
        self._callbacks: list[Callable[[], object]] = []
        # Set for what must not wait for more events.
        self._hurry = threading.Event()
        # A daemon, and joined for a limited time only: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_all, name="timeline-writer", daemon=True)
        self.dropped = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def write_soon(self, event: Event) -> None:
        """Accept an event; never blocks. A subscriber of the bus."""
        self._queue.put(event)

    def call_when_written(self, callback: Callable[[], object]) -> None:
        """Write what was accepted so far without waiting for more, then call `callback` on the writing thread, even if
        the write fails. Never blocks."""
        self._queue.put(callback)
        self._hurry.set()

    def close(self) -> None:
        """Write the rest and stop."""
        self._queue.put(None)
        self._hurry.set()
        self._thread.join(timeout=10)

    def _write_all(self) -> None:
        """1. Wait for an event. 2. Gather what else arrives within a moment. 3. Write it; after a failure keep it and
        go on gathering, so that nothing is lost while the database is unavailable."""
        pending: list[Event] = []
        open_ = True
        while open_:
            open_ = self._gather(pending)
            try:
                self._write(pending)
            except SQLAlchemyError:
                self._drop_oldest(pending)
            else:
                pending.clear()
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def _gather(self, pending: list[Event]) -> bool:
        """Take out what has come, and what comes within a moment of the first event; False at the end."""
        item = self._queue.get()
        if self._queue.qsize() < _BATCH_SIZE:
            # Not waiting at the queue, which would wake this thread for every event.
            self._hurry.wait(_BATCH_SECONDS)
        self._hurry.clear()
        while item is not None:
            if not isinstance(item, Event):
                self._callbacks.append(item)
                # The next one may be waited for, too.
                self._hurry.set()
                return True
            pending.append(item)
            if len(pending) >= _BATCH_SIZE:
                return True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _write(self, pending: Sequence[Event]) -> None:
        clean = [
            Event(event.kind, event.at, event.run_id, event.agent, event.actor, self._redact(dict(event.data)))
            for event in pending
        ]
        # Progress is a state and not history: of each agent only the last is stored, or tokens would fill the timeline.
        lasting = [event for event in clean if event.kind != PROGRESS]
        if lasting:
            # Before the timeline: these recognise what they have seen, so a batch that is repeated after a failure does
            # no harm there, while a row of the timeline would be written twice.
            for keep in self._also:
                keep(lasting)
            self._timeline.append(lasting)
        if beats := [event for event in clean if event.kind == PROGRESS]:
            self._timeline.save_heartbeats(beats)

    def _drop_oldest(self, pending: list[Event]) -> None:
        excess = len(pending) - _MAX_PENDING
        if excess > 0:
            del pending[:excess]
            self.dropped += excess
