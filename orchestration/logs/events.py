"""Events as log entries. Subscribe `log_event` to the bus."""

from __future__ import annotations

import logging

import structlog

from orchestration.events import Event
from orchestration.events.payload import UnlistedPayload
from orchestration.logs.origin import EVENTS

# A plug-in's own kinds have no level in the catalogue: it follows from the last word, as for the product's own names.
_LEVELS: dict[str, int] = {
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


def log_event(event: Event) -> None:
    """Write an event to the log: its data, and its sentence as the message unless the data has one."""
    fields = {"run": event.run_id, "agent": event.agent, "actor": None if event.actor == "system" else event.actor}
    known = {name: value for name, value in fields.items() if value is not None}
    # `level` and `event` are arguments of the logger itself.
    data = {f"{name}_" if name in ("level", "event") else name: value for name, value in event.data.items()}
    if not isinstance(event.payload, UnlistedPayload):
        # Not over a message of the event's own: errors are grouped by it, and a known one must not look new.
        data.setdefault("message", event.payload.sentence())
    structlog.stdlib.get_logger(EVENTS).log(_level_of(event), event.kind, **{**data, **known, "at": event.at})


def _level_of(event: Event) -> int:
    if isinstance(event.payload, UnlistedPayload):
        return _LEVELS.get(event.kind.rpartition(".")[2], logging.INFO)
    return event.payload.level
