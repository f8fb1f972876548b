"""What has to be changed in the engine before it may be used: no pickle, no chatter, quicker cancelling."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import dbos._core
import dbos._serialization

# How often running steps look whether their flow was cancelled from elsewhere. The engine's own second is too slow for
# "stops within its limit + 1 s".
_CANCEL_POLL_SECONDS = 0.25


def _refuse(*_: Any) -> NoReturn:
    raise TypeError(
        "expected JSON in the engine's tables, got a pickle; it is not read, because a pickle can run code: "
        "delete the row or restore the database from a backup"
    )


def make_safe() -> None:
    """Apply the changes; doing it again does no harm.

    The engine picks a decoder by a column of the row it reads, so a row put there by somebody else could name pickle
    and run code, whatever serializer is configured. The decoder itself is therefore replaced by a refusal.
    """
    dbos._serialization.DefaultSerializer.serialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._serialization.DefaultSerializer.deserialize = _refuse  # type: ignore[method-assign, assignment]
    dbos._core._PREEMPTIBLE_POLL_INTERVAL_SEC = _CANCEL_POLL_SECONDS


def quieten() -> None:
    """Send the engine's log lines through our own logging, from warnings upward."""
    logger = logging.getLogger("dbos")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.WARNING)
