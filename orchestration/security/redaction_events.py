"""Redaction that reports what it has found, for sinks whose texts come from agents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Protocol

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.security import SecretRedacted
from orchestration.security.secret_search import SecretMatch

# The first is reported at once; further ones are counted and reported together, so that a loop that prints a key does
# not flood the timeline.
_EVERY_SECONDS = 60.0
_MOST_REMEMBERED = 1000

_Key = tuple[str, str, str | None, str | None]


class RedactionEvents(Protocol):
    """The methods of a redactor that are used here."""

    def find(self, text: str) -> list[SecretMatch]: ...
    def text(self, text: str) -> str: ...
    def growing(self, text: str) -> str: ...
    def data(self, value: Any) -> Any: ...
    def certain(self, value: Any) -> Any: ...


class ReportingRedactor:
    """Redacts, and emits `secret.redacted` with kind, place and number, never with the secret.

    `place` names the sink, one of a fixed few: names that agents choose do not belong in it. What is found within a
    minute of the last event, of the same kind, place, run and agent, is counted in the next event. Thread-safe.
    """

    def __init__(self, redactor: RedactionEvents, bus: EventBus, clock: Clock) -> None:
        self._redactor = redactor
        self._bus = bus
        self._clock = clock
        self._lock = threading.Lock()
        # The time of the last event (monotonic), and the number of secrets since.
        self._reported: dict[_Key, tuple[float, int]] = {}

    def text(self, text: str, place: str, *, run_id: str | None = None, agent: str | None = None) -> str:
        """The text without secrets."""
        clean = self._redactor.text(text)
        if clean != text:
            self._report([text], place, run_id, agent)
        return clean

    def find(self, text: str) -> list[SecretMatch]:
        """The secrets in a text, without an event."""
        return self._redactor.find(text)

    def quiet(self, text: str) -> str:
        """The text without secrets, and without an event: for a text that goes to another sink as well."""
        return self._redactor.text(text)

    def growing(self, text: str) -> str:
        """What may be shown of a text of which more will come, without an event: the whole goes to another sink."""
        return self._redactor.growing(text)

    def data(self, value: Any, place: str, *, run_id: str | None = None, agent: str | None = None) -> Any:
        """JSON values without secrets."""
        clean = self._redactor.data(value)
        if clean != value:
            self._report(_texts(value), place, run_id, agent)
        return clean

    def work(self, value: Any, place: str, *, run_id: str | None = None, agent: str | None = None) -> Any:
        """JSON values in which an agent says what is to be written or done, without certain secrets. The password of a
        test that it has made up stays: with a mark in its place, the test would fail."""
        clean = self._redactor.certain(value)
        if clean != value:
            self._report(_texts(value), place, run_id, agent)
        return clean

    def _report(self, texts: Iterator[str] | list[str], place: str, run_id: str | None, agent: str | None) -> None:
        found: dict[str, int] = {}
        for text in texts:
            for match in self._redactor.find(text):
                found[match.kind] = found.get(match.kind, 0) + 1
        for kind, count in found.items():
            if due := self._due((kind, place, run_id, agent), count):
                self._bus.publish(SecretRedacted(found=kind, place=place, count=due), run_id=run_id, agent=agent)

    def _due(self, key: _Key, count: int) -> int:
        """The number to report now; 0 if it is too early."""
        now = self._clock.monotonic()
        with self._lock:
            # Removed and added again, so that the first key is always the one that was not used for the longest time.
            reported_at, waiting = self._reported.pop(key, (float("-inf"), 0))
            due = now - reported_at >= _EVERY_SECONDS
            self._reported[key] = (now, 0) if due else (reported_at, waiting + count)
            if len(self._reported) > _MOST_REMEMBERED:
                del self._reported[next(iter(self._reported))]
            return waiting + count if due else 0


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, inner in value.items():
                yield from _texts(str(key))
                yield from _texts(inner)
        case list() | tuple() | set() | frozenset():
            for inner in value:
                yield from _texts(inner)
