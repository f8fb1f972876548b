"""Redaction that says when it has caught something: for the sinks whose texts come from agents."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Protocol

from orchestration.clock import Clock
from orchestration.events import EventBus
from orchestration.events.security import SecretRedacted
from orchestration.security.redaction import SecretMatch

# Told at once, and then once in so many seconds with how many there were.
_EVERY_SECONDS = 60.0
_MOST_REMEMBERED = 1000

_Key = tuple[str, str, str | None, str | None]


class RedactionEvents(Protocol):
    """What is needed of a redactor."""

    def find(self, text: str) -> list[SecretMatch]: ...
    def text(self, text: str) -> str: ...
    def data(self, value: Any) -> Any: ...


class ReportingRedactor:
    """Redacts, and emits `secret.redacted` with kind, place and number, never with what it was.

    `place` names the sink, one of a few: what agents call things does not belong in it. A flood is counted: of one kind
    in one place of one run and agent, what comes within a minute of the last event is told in the next. Safe to use
    from several threads.
    """

    def __init__(self, redactor: RedactionEvents, bus: EventBus, clock: Clock) -> None:
        self._redactor = redactor
        self._bus = bus
        self._clock = clock
        self._lock = threading.Lock()
        # When it was last told (monotonic), and how many there were since.
        self._told: dict[_Key, tuple[float, int]] = {}

    def text(self, text: str, place: str, *, run_id: str | None = None, agent: str | None = None) -> str:
        """The text without secrets."""
        clean = self._redactor.text(text)
        if clean != text:
            self._report([text], place, run_id, agent)
        return clean

    def quiet(self, text: str) -> str:
        """The text without secrets, and no word of it: where the same goes to another sink."""
        return self._redactor.text(text)

    def data(self, value: Any, place: str, *, run_id: str | None = None, agent: str | None = None) -> Any:
        """JSON values without secrets."""
        clean = self._redactor.data(value)
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
        """How many are to be told now; 0: not yet."""
        now = self._clock.monotonic()
        with self._lock:
            told_at, waiting = self._told.pop(key, (float("-inf"), 0))
            due = now - told_at >= _EVERY_SECONDS
            self._told[key] = (now, 0) if due else (told_at, waiting + count)
            if len(self._told) > _MOST_REMEMBERED:
                del self._told[next(iter(self._told))]
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
