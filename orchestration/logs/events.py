"""Events as log entries. Hand `log_event` to the bus as a subscriber."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

import structlog

# By the last word of the event's kind; all others are INFO.
LEVELS: dict[str, int] = {
    "progress": logging.DEBUG,
    "heartbeat": logging.DEBUG,
    "retried": logging.WARNING,
    "repaired": logging.WARNING,
    "tripped": logging.WARNING,
    "stalled": logging.WARNING,
    "cancelled": logging.WARNING,
    "unrecorded": logging.WARNING,
    "locked": logging.WARNING,
    "failed": logging.ERROR,
    "refused": logging.ERROR,
    "exceeded": logging.ERROR,
    "breached": logging.ERROR,
    "lost": logging.ERROR,
}


class EventLike(Protocol):
    """What the log reads of an event."""

    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def run_id(self) -> str | None: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def actor(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


def level_of(kind: str) -> int:
    """The level of an event of this kind."""
    return LEVELS.get(kind.rpartition(".")[2], logging.INFO)


def log_event(event: EventLike) -> None:
    """Write an event to the log."""
    fields = {"run": event.run_id, "agent": event.agent, "actor": None if event.actor == "system" else event.actor}
    known = {name: value for name, value in fields.items() if value is not None}
    # `level` and `event` are arguments of the logger itself.
    data = {f"{name}_" if name in ("level", "event") else name: value for name, value in event.data.items()}
    structlog.stdlib.get_logger("events").log(level_of(event.kind), event.kind, **{**data, **known, "at": event.at})
