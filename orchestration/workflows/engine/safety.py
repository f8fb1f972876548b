"""Changes to the engine before it may be used: no pickle, no chatter, faster cancelling."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import dbos._core
import dbos._serialization

# How often a running step checks whether its flow was cancelled by another process. The engine's own second is too
# slow: a tool has to stop within its limit plus one second.
_CANCEL_POLL_SECONDS = 0.25


def _refuse(*_: Any) -> NoReturn:
    raise TypeError(
        "the engine's tables hold a pickle, which is not read because it could run code; "
        "delete the row or restore the database from a backup"
    )


def make_safe() -> None:
    """Apply the changes; repeating them does no harm.

    The engine selects the decoder by a column of the row that it reads (`operation_outputs.serialization`). Whoever can
    insert a row could therefore name pickle and run code, even with a JSON serializer configured. Configuration cannot
    prevent that, so the decoder itself is replaced by one that refuses.
    """
    dbos._serialization.DefaultSerializer.serialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._serialization.DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._core._PREEMPTIBLE_POLL_INTERVAL_SEC = _CANCEL_POLL_SECONDS


def quieten() -> None:
    """Route the engine's log lines from warnings upward through our own logging."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.WARNING)
