"""Putting the log together: structlog in front, the standard library behind, redaction before anything is written."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

import structlog

from orchestration.logs import origin
from orchestration.logs.files import LogFile, LogRotation
from orchestration.logs.lines import json_line, text_line, timestamp

# Takes an entry and returns it without any secret in it; `Redactor.data` is one.
Redact = Callable[[Any], Any]

# A full disk fails every line, and standard error would then get as many.
_COMPLAINT_SECONDS = 60.0
# Libraries with handlers of their own, or with more to say than anyone wants to read.
_LIBRARIES = {
    "alembic": logging.WARNING,
    "dbos": logging.INFO,
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "uvicorn": logging.INFO,
    "uvicorn.access": logging.INFO,
    "uvicorn.error": logging.INFO,
    "watchfiles": logging.WARNING,
}


_EXCEPTIONS = logging.Formatter()


class Logger(Protocol):
    """What one writes to: a stable event name, then fields; `message` is the one for people."""

    def debug(self, event: str, /, **fields: Any) -> None: ...
    def info(self, event: str, /, **fields: Any) -> None: ...
    def warning(self, event: str, /, **fields: Any) -> None: ...
    def error(self, event: str, /, **fields: Any) -> None: ...
    def exception(self, event: str, /, **fields: Any) -> None:
        """As `error`, with the exception that is being handled."""
        ...

    def bind(self, **fields: Any) -> Logger:
        """A logger that adds these fields to every entry."""
        ...


def get_logger(name: str) -> Logger:
    """The logger of a module. Works before `configure`, and follows it."""
    return cast("Logger", structlog.stdlib.get_logger(name))


class Logging:
    """The log as it was set up."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._root = logging.getLogger()
        self._level_before = self._root.level

    @property
    def failures(self) -> int:
        """How many lines could not be written since the start."""
        return self._handler.failures

    def set_level(self, level: str) -> None:
        """Log from this level on: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
        self._root.setLevel(level)

    def close(self) -> None:
        """Write no more."""
        self._root.removeHandler(self._handler)
        self._root.setLevel(self._level_before)


def configure(directory: Path, level: str, redact: Redact, rotation: LogRotation | None = None) -> Logging:
    """Send everything that is logged in this process to the two files in `directory`."""
    rotation = rotation or LogRotation()
    handler = _Handler(directory, redact, rotation)
    result = Logging(handler)
    for name, library_level in _LIBRARIES.items():
        _adopt(logging.getLogger(name), library_level)
    logging.getLogger().addHandler(handler)
    result.set_level(level)
    structlog.configure(
        # The level first: what is filtered out costs nothing more
        # (https://www.structlog.org/en/stable/performance.html).
        processors=[structlog.stdlib.filter_by_level, structlog.contextvars.merge_contextvars, _hand_over],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would keep the configuration from before `configure`, and loggers are made when modules are
        # imported.
        cache_logger_on_first_use=False,
    )
    return result


def _adopt(logger: logging.Logger, level: int) -> None:
    """Take away a library's own way to the terminal; a handler that does nothing keeps it from making another."""
    logger.handlers = [logging.NullHandler()]
    logger.propagate = True
    logger.setLevel(level)


def _hand_over(_logger: Any, _method: str, fields: Any) -> tuple[tuple[str], dict[str, Any]]:
    """From structlog to the standard library; the fields travel on the record."""
    event, exc_info = fields.pop("event"), fields.pop("exc_info", None)
    return (event,), {"exc_info": exc_info, "extra": {"fields": fields}}


class _Handler(logging.Handler):
    def __init__(self, directory: Path, redact: Redact, rotation: LogRotation) -> None:
        super().__init__()
        self._redact = redact
        self._sinks = (
            (LogFile(directory / "orchestrator.log", rotation), text_line),
            (LogFile(directory / "orchestrator.jsonl", rotation), json_line),
        )
        self._complained_at = 0.0
        self.failures = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            entry = {**_head(record), **self._redact(_body(record))}
        except Exception as error:  # noqa: BLE001 — what cannot be made into a line must not stop the work either
            self._complain(record, error)
            return
        stamp = _stamp(record.created)
        for file, render in self._sinks:
            try:
                file.append(render(entry), stamp)
            except (OSError, ValueError, TypeError) as error:
                self._complain(record, error)

    def _complain(self, record: logging.LogRecord, error: Exception) -> None:
        """Count, and say so once a minute in the only other place there is; the error's text could hold a secret."""
        self.failures += 1
        if record.created - self._complained_at < _COMPLAINT_SECONDS:
            return
        self._complained_at = record.created
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        if sys.stderr is not None:
            sys.stderr.write(f"orchestrator: the log cannot be written ({reason}); {self.failures} lines lost so far\n")


def _stamp(created: float) -> str:
    """The time of a record as part of a file's name: `20261124T134501.123456Z`."""
    moment = datetime.fromtimestamp(created, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='microseconds').replace('-', '').replace(':', '')}Z"


def _head(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", {})
    moment = fields.get("at") or datetime.fromtimestamp(record.created, UTC)
    head = {"at": timestamp(moment), "level": record.levelname, "logger": record.name}
    written_by = origin.origin(record.name, str(record.msg), fields.get("actor"))
    return head if written_by is None else {**head, origin.FIELD: written_by}


def _body(record: logging.LogRecord) -> dict[str, Any]:
    """The fields; a library's message has none, and goes by the name of its logger."""
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    if fields is None:
        body = {"event": record.name, "message": _message(record)}
    else:
        reserved = {"at", "level", "logger", origin.FIELD}
        body = {"event": record.msg, **{key: value for key, value in fields.items() if key not in reserved}}
    if record.exc_info:
        body["exception"] = _EXCEPTIONS.formatException(record.exc_info)
    return body


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # a library's format and its arguments do not fit
        return f"{record.msg} {record.args}"
