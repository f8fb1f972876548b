"""Events: what happened, published once, read by everyone who needs it (timeline, log, metrics, progress on a
terminal)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from orchestration.clock import Clock
from orchestration.events.catalogue import read_payload
from orchestration.events.payload import EventPayload

Subscriber = Callable[["Event"], None]


# Without slots, because `payload` is computed once, when somebody asks for it: most events are only stored.
@dataclass(frozen=True)
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

    @cached_property
    def payload(self) -> EventPayload:
        """The data as the type that the catalogue has for this kind."""
        return read_payload(self.kind, self.data)


class EventBus:
    """Hands each event to every subscriber, in order, at once, on the caller's thread.

    A subscriber must be quick and must not raise; what can be slow (a database, a network) belongs behind a queue of
    the subscriber's own.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber; the returned function removes it again."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def publish(
        self, payload: EventPayload, *, run_id: str | None = None, agent: str | None = None, actor: str = "system"
    ) -> Event:
        """Publish that something happened now."""
        event = Event(payload.kind, self._clock.now(), run_id, agent, actor, payload.data())
        # Into the dictionary where `cached_property` looks: the attribute of a frozen dataclass cannot be set.
        event.__dict__["payload"] = payload  # what it would be read back as: most subscribers ask for it
        return self._deliver(event)

    def emit(
        self,
        kind: str,
        *,
        run_id: str | None = None,
        agent: str | None = None,
        actor: str = "system",
        **data: Any,
    ) -> Event:
        """Publish an event of a kind that the catalogue does not have: a plug-in's own. The product itself calls
        `publish`."""
        return self._deliver(Event(kind, self._clock.now(), run_id, agent, actor, data))

    def _deliver(self, event: Event) -> Event:
        # A copy, since a subscriber may unsubscribe while it is called.
        for subscriber in tuple(self._subscribers):
            subscriber(event)
        return event
