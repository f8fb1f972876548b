"""Events: what happened, said once, read by everyone who needs it (timeline, log, metrics, progress on a terminal)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestration.clock import Clock

Subscriber = Callable[["Event"], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `kind` is a stable dotted name (`model_call.finished`); `data` holds JSON values only and has been through no
    redaction yet: each sink redacts before it writes.
    """

    kind: str
    at: datetime
    run_id: str | None = None
    agent: str | None = None
    actor: str = "system"
    data: Mapping[str, Any] = field(default_factory=dict)


class Bus:
    """Hands each event to every subscriber, in order, at once, on the caller's thread.

    A subscriber must be quick and must not raise; what can be slow (a database, a network) belongs behind a queue of
    the subscriber's own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber; the returned function takes it away again."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def emit(
        self,
        kind: str,
        *,
        run_id: str | None = None,
        agent: str | None = None,
        actor: str = "system",
        **data: Any,
    ) -> Event:
        """Say that something happened now."""
        event = Event(kind=kind, at=self._clock.now(), run_id=run_id, agent=agent, actor=actor, data=data)
        for subscriber in tuple(self._subscribers):
            subscriber(event)
        return event
