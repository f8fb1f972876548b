"""Where a log line comes from: from the work, or from the response to an incident.

What the response itself wrote (notices, its actions, timeline entries) repeats what incidents and alerts say, in words
that may come from outside. A diagnosis that read it as evidence would find the incident to be its own cause. The origin
is decided by who wrote the line, never by what it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from orchestration.events import alerts, incidents, notifications, playbooks
from orchestration.events.catalogue import CATALOGUE

FIELD, RESPONSE = "origin", "response"
# The logger of everything that is published on the bus; its lines are named after the kind of event.
EVENTS = "events"
# The event of the channel `log`, which writes whole notices.
LOGGED_NOTICE = "notification.logged"

_FAMILIES = frozenset(module.__name__ for module in (alerts, incidents, notifications, playbooks))
# By their first word, so that kinds of a newer release and of plug-ins are covered, too.
_SUBJECTS = frozenset(kind.partition(".")[0] for kind, one in CATALOGUE.items() if one.__module__ in _FAMILIES)
_RECORDS = frozenset({"approval", "audit"})  # which quote the question or the command that they record
_LOGGERS = ("alerts", "intake", "notifications")
_PACKAGES = tuple(f"orchestration.{name}." for name in ("alerts", "incidents", "notifications", "playbooks"))
_ACTORS = ("automation:", "playbook:")  # no name of a user contains a colon
_responding: ContextVar[bool] = ContextVar("responding", default=False)


def mark_task() -> None:
    """Mark every line that this task, and what it starts, logs from now on as written by the response."""
    _responding.set(True)


def origin(logger: str, event: str, actor: object) -> str | None:
    """The origin to be written into a line; None for one of the work."""
    return RESPONSE if _responding.get() or _of_response(logger, event, actor) else None


def written_by_response(line: Mapping[str, Any]) -> bool:
    """Whether the response wrote this line of the JSON log; also for lines of releases that did not mark them."""
    return line.get(FIELD) == RESPONSE or _of_response(*_writer(line), line.get("actor"))


def repeats_incident(line: Mapping[str, Any]) -> bool:
    """Whether a line only repeats what an incident, alert, notice or action says.

    Failures of the response's own machinery are written by the response as well, but are faults that have to be seen.
    """
    logger, event = _writer(line)
    return event == LOGGED_NOTICE or (logger == EVENTS and _subject(event) in _SUBJECTS)


def _of_response(logger: str, event: str, actor: object) -> bool:
    named = logger in _LOGGERS or logger.startswith(_PACKAGES)
    published = logger == EVENTS and _subject(event) in _SUBJECTS | _RECORDS
    return named or published or str(actor).startswith(_ACTORS)


def _writer(line: Mapping[str, Any]) -> tuple[str, str]:
    return str(line.get("logger", "")), str(line.get("event", ""))


def _subject(event: str) -> str:
    return event.partition(".")[0]
