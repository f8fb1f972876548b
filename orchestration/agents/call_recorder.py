"""Records what is said in the calls of runs: prompts, answers, arguments and outputs, without secrets.

A call does not wait for it: a thread of its own redacts, compresses and writes. Before a step is committed, what was
recorded of it is written (`call_when_written`), as on the timeline.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError

from orchestration.clock import Clock
from orchestration.storage.call_records import CallKind, CallRecord, CallRecords

# A file that a tool has read is far smaller; what is longer is kept with its beginning and its end.
MOST_OF_A_TEXT = 100_000
# About a fifth of it on the disk, since texts are compressed.
MOST_OF_A_RUN = 50_000_000
_MOST_REMEMBERED = 5_000
_MOST_SEEN = 500
_MOST_PENDING = 500
_BATCH_SECONDS = 0.1
_CLOSING_SECONDS = 10.0
# What is kept as a text of its own; everything else is short.
_TEXTS = ("tools", "answer", "arguments", "output")


@dataclass(slots=True, eq=False)
class CallRecording:
    """One call that is being recorded. `content` belongs to the thread that writes."""

    recorder: CallRecorder | None
    record: CallRecord
    content: dict[str, Any] = field(default_factory=dict)

    def add(self, *, ended: bool = True, **parts: Any) -> None:
        """Record more of the call. Never blocks."""
        if self.recorder is not None:
            self.recorder.accept(self, parts, ended=ended)


_Part = tuple[CallRecording, CallRecord, Mapping[str, Any]]


class CallRecorder:
    """Writes recordings. `redact` is applied to all that is kept; while `is_on` says no, nothing is."""

    def __init__(
        self, records: CallRecords, redact: Callable[[Any], Any], clock: Clock, is_on: Callable[[], bool]
    ) -> None:
        self._records = records
        self._redact = redact
        self._clock = clock
        self._is_on = is_on
        self._queue: queue.SimpleQueue[_Part | Callable[[], object] | None] = queue.SimpleQueue()
        self._callbacks: list[Callable[[], object]] = []
        self._pending: dict[str, CallRecord] = {}
        self._texts: dict[str, dict[str, str]] = {}
        # References to what has been kept, by the digest of the text as it came: redaction is not repeated.
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._seen: dict[tuple[str, int], tuple[Mapping[str, Any], dict[str, Any]]] = {}
        self._sizes: dict[str, int] = {}
        # A daemon, and joined for a limited time only: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._write_all, name="call-recorder", daemon=True)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write for as long as the block lasts, and the rest at its end."""
        self._thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._thread.join, _CLOSING_SECONDS)

    def begin(
        self, key: str | None, run_id: str | None, agent: str | None, kind: CallKind, **parts: Any
    ) -> CallRecording:
        """Begin to record a call; one that belongs to no run is not recorded. Never blocks."""
        on = key is not None and run_id is not None and self._is_on()
        record = CallRecord(key or "", run_id or "", agent, kind, self._clock.now())
        recording = CallRecording(self if on else None, record)
        recording.add(ended=False, **parts)
        return recording

    def accept(self, recording: CallRecording, parts: Mapping[str, Any], *, ended: bool) -> None:
        """Accept more of a call. Never blocks."""
        if ended:
            recording.record = replace(recording.record, ended_at=self._clock.now())
        self._queue.put((recording, recording.record, parts))

    def call_when_written(self, callback: Callable[[], object]) -> None:
        """Write what was accepted so far, then call `callback` on the writing thread, even if the write fails. Never
        blocks."""
        if self._thread.is_alive():
            self._queue.put(callback)
        else:
            callback()

    def _write_all(self) -> None:
        """1. Wait for a recording. 2. Gather what else arrives within a moment. 3. Write it; after a failure keep it,
        within bounds, so that nothing is lost while the database is unavailable for a while."""
        open_ = True
        while open_:
            open_ = self._gather()
            try:
                if self._pending:
                    self._records.save(self._pending.values(), self._texts)
            except SQLAlchemyError:
                self._bound()
            else:
                self._pending.clear()
                self._texts.clear()
            callbacks, self._callbacks = self._callbacks, []
            for callback in callbacks:
                callback()

    def _gather(self) -> bool:
        item = self._queue.get()
        end = self._clock.monotonic() + _BATCH_SECONDS
        while item is not None:
            if callable(item):
                self._callbacks.append(item)
                return True
            # What cannot be recorded must not end the thread, for whose writes every step waits.
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                self._take(*item)
            try:
                item = self._queue.get(timeout=max(0.0, end - self._clock.monotonic()))
            except queue.Empty:
                return True
        return False

    def _take(self, recording: CallRecording, record: CallRecord, parts: Mapping[str, Any]) -> None:
        run_id = record.run_id
        for name, value in parts.items():
            if name == "messages":
                recording.content[name] = [self._message(run_id, one) for one in value]
            elif name in _TEXTS and value is not None:
                recording.content[name] = self._kept(run_id, value)
            else:
                recording.content[name] = self._redact(value)
        # Put last, since the oldest is given up first.
        self._pending.pop(record.key, None)
        self._pending[record.key] = replace(record, content=dict(recording.content))

    def _message(self, run_id: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a message. An agent sends the same objects again with every call, which are not even read again."""
        seen = self._seen.get((run_id, id(message)))
        if seen is not None and seen[0] is message:
            return seen[1]
        found = {"role": str(message.get("role")), **self._kept(run_id, message)}
        # With the message itself, so that no other gets its identity.
        self._seen[run_id, id(message)] = message, found
        if len(self._seen) > _MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return found

    def _kept(self, run_id: str, value: Any) -> dict[str, Any]:
        """Keep a text, or a JSON value as one; returns the reference to it."""
        raw = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        name = (run_id, hashlib.sha256(raw.encode("utf-8", "replace")).hexdigest())
        found = self._known.pop(name, None) or self._keep(run_id, value)
        self._known[name] = found
        if len(self._known) > _MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        return found

    def _keep(self, run_id: str, value: Any) -> dict[str, Any]:
        clean = clipped(self._redact(value))
        text = clean if isinstance(clean, str) else json.dumps(clean, ensure_ascii=False)
        text = text.encode("utf-8", "replace").decode()
        used = self._size_of(run_id)
        if used + len(text) > MOST_OF_A_RUN:
            return {"digest": None, "size": len(text)}
        self._sizes[run_id] = used + len(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self._texts.setdefault(run_id, {})[digest] = text
        return {"digest": digest, "size": len(text)}

    def _size_of(self, run_id: str) -> int:
        if run_id not in self._sizes:
            try:
                self._sizes[run_id] = self._records.size_of(run_id)
            except SQLAlchemyError:
                return 0
            if len(self._sizes) > _MOST_REMEMBERED:
                del self._sizes[next(iter(self._sizes))]
        return self._sizes[run_id]

    def _bound(self) -> None:
        """Give up the oldest recordings while the database is away for long. Their texts may be part of later ones."""
        excess = len(self._pending) - _MOST_PENDING
        for key in list(self._pending)[: max(0, excess)]:
            del self._pending[key]
        if excess > 0:
            self._texts.clear()
            self._known.clear()
            self._seen.clear()


def clipped(value: Any) -> Any:
    """A JSON value whose long texts have lost their middle."""
    match value:
        case str():
            return _shortened(value)
        case dict():
            return {name: clipped(inner) for name, inner in value.items()}
        case list():
            return [clipped(inner) for inner in value]
    return value


def _shortened(text: str) -> str:
    if len(text) <= MOST_OF_A_TEXT:
        return text
    head, end = MOST_OF_A_TEXT * 3 // 5, MOST_OF_A_TEXT * 2 // 5
    return f"{text[:head]}\n[… {len(text) - head - end:,} characters are not kept …]\n{text[-end:]}"
